"""Cassettes: read strictly, replayed only onto what was seen, recorded without losing or leaking anything."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from agents_support import asked, task
from model_server import Answer, ModelServer, call, reply, usage
from pydantic import ValidationError

from pytest_specbench.agents.models import open_model
from pytest_specbench.agents.models.base import ModelRequest, assistant_message, tool_message
from pytest_specbench.agents.models.cassette import MAX_BYTES, load_cassette
from pytest_specbench.agents.models.record import RecordingModel, cassette_path
from pytest_specbench.agents.models.replay import ReplayDivergedError, ReplayModel, ReplayOutcomeChangedError
from pytest_specbench.core.errors import BlockedError, InfrastructureError
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import ToolCall
from pytest_specbench.scenarios.model import ModelDefaults

LS = {"content": "look", "tool_calls": [{"id": "call_1", "name": "shell", "arguments": {"command": "ls"}}]}
END = {"content": "done"}


def entry(step: int, reply: dict[str, Any], stage: str = "specify", **expects: Any) -> dict[str, Any]:
    return {"stage": stage, "step": step, "tools": ["shell"], "expects": expects, "reply": reply}


def cassette(folder: Path, *replies: dict[str, Any], **changes: Any) -> Path:
    head = {"cassette": 1, "provenance": "scripted", "model": "scripted", "match": "tail", "recorded_at": None}
    path = folder / "demo.cassette.yaml"
    path.write_text(json.dumps({**head, "replies": list(replies), **changes}))
    return path


def after_ls(text: str = "exit code: 0\na\n", code: int | None = 0, prompt: str = "Do it.") -> ModelRequest:
    """The second request of a stage: `ls` ran, and this came back."""
    first = asked(1, prompt=prompt)
    ls = assistant_message("look", [ToolCall("call_1", "shell", {"command": "ls"})])
    return ModelRequest(
        "specify", 2, [*first.messages, ls, tool_message("call_1", text)], first.tools, math.inf, (code,), "/w"
    )


def record(inner: Path, to: Path, *requests: ModelRequest) -> Path:
    model = RecordingModel(ReplayModel(inner), to, redactor=Redactor({}))
    for request in requests:
        model.complete(request)
    model.finish(content=True)
    return to


class TestReplay:
    def test_it_says_what_the_cassette_says_and_measures_no_usage(self, tmp_path: Path) -> None:
        usage = {"input_tokens": 9, "output_tokens": 3, "cached_tokens": None, "cost_usd": 0.1}
        model = ReplayModel(cassette(tmp_path, entry(1, {**LS, "usage": usage, "reasoning": "hm"}), entry(2, END)))
        first = model.complete(asked(1))
        assert (first.content, first.reasoning, first.model_name) == ("look", "hm", "scripted")
        assert first.tool_calls[0].arguments == {"command": "ls"}
        assert (first.usage.input_tokens, first.usage.cost_usd) == (None, None)
        assert first.usage.extra["usage_reason"] == "not measured under replay"
        assert model.complete(after_ls()).content == "done"
        model.finish(content=True)

    def test_a_scripted_cassette_checks_only_what_it_states(self, tmp_path: Path) -> None:
        model = ReplayModel(cassette(tmp_path, entry(1, LS), entry(2, END)))
        model.complete(asked(1))
        assert model.complete(after_ls("anything", code=9)).content == "done"

    def test_a_changed_exit_code_is_the_subjects_doing(self, tmp_path: Path) -> None:
        model = ReplayModel(cassette(tmp_path, entry(1, LS), entry(2, END, exit_codes=[0])))
        model.complete(asked(1))
        with pytest.raises(ReplayOutcomeChangedError) as caught:
            model.complete(after_ls("exit code: 2\nls: no\n", code=2))
        assert caught.value.cause is Cause.REPLAY_OUTCOME_CHANGED
        assert "-0\n+2" in str(caught.value)
        assert "ls: no" in str(caught.value)

    def test_a_killed_command_differs_from_a_failed_one(self, tmp_path: Path) -> None:
        model = ReplayModel(cassette(tmp_path, entry(1, LS), entry(2, END, exit_codes=[1])))
        with pytest.raises(ReplayOutcomeChangedError, match="killed at its time limit"):
            model.complete(after_ls(code=None))

    def test_changed_output_blocks_and_shows_the_difference(self, tmp_path: Path) -> None:
        script = cassette(tmp_path, entry(1, LS), entry(2, END))
        recorded = record(script, tmp_path / "recorded.yaml", asked(1), after_ls("exit code: 0\na\nb\n"))
        with pytest.raises(ReplayDivergedError) as caught:
            ReplayModel(recorded).complete(after_ls("exit code: 0\na\nc\n"))
        assert caught.value.cause is Cause.REPLAY_DIVERGED
        assert "-b\n+c" in str(caught.value)
        assert "--specbench-record" in str(caught.value)

    def test_the_exit_code_decides_where_both_changed(self, tmp_path: Path) -> None:
        script = cassette(tmp_path, entry(1, LS), entry(2, END))
        recorded = record(script, tmp_path / "recorded.yaml", asked(1), after_ls("exit code: 0\na\n"))
        with pytest.raises(ReplayOutcomeChangedError):
            ReplayModel(recorded).complete(after_ls("exit code: 1\nb\n", code=1))

    def test_times_and_folders_do_not_matter(self, tmp_path: Path) -> None:
        script = cassette(tmp_path, entry(1, LS), entry(2, END))
        before, now = "exit code: 0\n/w/a in 0.10s at 10:00:00\n", "exit code: 0\n/w/a in 2.5s at 11:22:33\n"
        recorded = record(script, tmp_path / "recorded.yaml", asked(1), after_ls(before))
        assert ReplayModel(recorded).complete(after_ls(now)).content == "done"

    def test_a_changed_prompt_matters_only_where_the_match_is_strict(self, tmp_path: Path) -> None:
        script = cassette(tmp_path, entry(1, LS), entry(2, END))
        loose = record(script, tmp_path / "loose.yaml", asked(1), after_ls())
        assert ReplayModel(loose).complete(asked(1, prompt="Do it well.")).content == "look"
        strict = tmp_path / "strict.yaml"
        strict.write_text(loose.read_text().replace("match: tail", "match: strict"))
        assert ReplayModel(strict).complete(asked(1)).content == "look"
        with pytest.raises(ReplayDivergedError, match="conversation changed"):
            ReplayModel(strict).complete(asked(1, prompt="Do it well."))

    def test_other_tools_block(self, tmp_path: Path) -> None:
        model = ReplayModel(cassette(tmp_path, entry(1, LS)))
        with pytest.raises(ReplayDivergedError, match="other tools"):
            model.complete(asked(1, tools=()))

    @pytest.mark.parametrize("request_", [asked(3), asked(1, stage="plan")], ids=["step", "stage"])
    def test_a_missing_reply_blocks_and_names_what_is_there(self, tmp_path: Path, request_: ModelRequest) -> None:
        model = ReplayModel(cassette(tmp_path, entry(1, LS), entry(2, END)))
        with pytest.raises(ReplayDivergedError, match="specify step 2"):
            model.complete(request_)

    def test_replies_that_were_never_asked_for_block_an_agent_that_ended_content(self, tmp_path: Path) -> None:
        model = ReplayModel(cassette(tmp_path, entry(1, LS), entry(2, END)))
        model.complete(asked(1))
        model.finish(content=False)
        with pytest.raises(ReplayDivergedError, match="specify step 2"):
            model.finish(content=True)


class TestReading:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"cassette": 2}, "cassette: the cassette is invalid: "),
            ({"provenance": "guessed"}, "provenance"),
            ({"matsch": "tail"}, "matsch"),
            ({"replies": [entry(1, LS) | {"step": "1"}]}, "replies.0.step"),
            ({"replies": [entry(2, LS)]}, "replies.0: step 2 of stage 'specify' should be 1"),
            ({"replies": [entry(1, LS), entry(1, END)]}, "replies.1: step 1 of stage 'specify' should be 2"),
            ({"replies": [entry(1, LS, tail="md5:1")]}, "replies.0.expects.tail"),
            ({"replies": [entry(1, {"content": "x", "tool_calls": LS["tool_calls"] * 2})]}, "same id"),
            (
                {"provenance": "recorded", "replies": [entry(1, END, exit_codes=[])]},
                "replies.0.expects.tail: may be null",
            ),
        ],
        ids=lambda value: "" if isinstance(value, dict) else value[:20],
    )
    def test_what_is_wrong_is_named_with_its_file_and_key(
        self, tmp_path: Path, change: dict[str, Any], expected: str
    ) -> None:
        path = cassette(tmp_path, **change)
        with pytest.raises(BlockedError) as caught:
            load_cassette(path)
        assert caught.value.cause is Cause.CONFIGURATION
        assert str(path) in str(caught.value)
        assert expected in str(caught.value)

    def test_what_pydantic_says_of_a_value_is_passed_on(self, tmp_path: Path) -> None:
        with pytest.raises(BlockedError) as caught:
            load_cassette(cassette(tmp_path, cassette=2))
        assert isinstance(caught.value.__cause__, ValidationError)
        (theirs,) = caught.value.__cause__.errors()
        assert theirs["type"] == "literal_error"
        assert f": cassette: the cassette is invalid: {theirs['msg']}\n" in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("cassette: 1\ncassette: 1\n", ":2: the cassette is invalid: key 'cassette' is there twice"),
            ("cassette: &a 1\nmodel: *a\n", ":1: the cassette is invalid: uses a YAML anchor or alias"),
            ("cassette: [\n", "the cassette is invalid"),
            ("", "the cassette is invalid"),
            ("- 1\n", "the cassette is invalid"),
            ("? {a: 1}\n: 2\n", "the cassette is invalid"),
        ],
    )
    def test_broken_yaml_is_refused(self, tmp_path: Path, text: str, expected: str) -> None:
        path = tmp_path / "c.yaml"
        path.write_text(text)
        with pytest.raises(BlockedError) as caught:
            load_cassette(path)
        assert expected in str(caught.value)

    def test_a_date_among_arguments_is_refused_because_json_has_none(self, tmp_path: Path) -> None:
        path = cassette(
            tmp_path, entry(1, {"tool_calls": [{"id": "a", "name": "shell", "arguments": {"command": "D"}}]})
        )
        path.write_text(path.read_text().replace('"D"', "2026-01-01"))
        with pytest.raises(BlockedError, match=r"replies\.0\.reply\.tool_calls\.0\.arguments\.command"):
            load_cassette(path)

    def test_a_missing_file_names_the_next_step(self, tmp_path: Path) -> None:
        with pytest.raises(BlockedError, match="--specbench-record"):
            load_cassette(tmp_path / "none.yaml")

    def test_an_enormous_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "c.yaml"
        path.write_text("#" * (MAX_BYTES + 1))
        with pytest.raises(BlockedError, match="more than 5000000"):
            load_cassette(path)


class TestRecording:
    def test_a_live_model_is_recorded_and_replays(self, tmp_path: Path) -> None:
        answers = (
            reply("look", calls=[call({"command": "ls"})], usage=usage(10, 2, 0)),
            reply("done", usage=usage(20, 3, 5)),
        )
        with ModelServer(*answers) as server:
            model = open_model(
                task(
                    model="openai/test",
                    model_defaults=ModelDefaults(name="openai/test", api_base=server.url),
                    record_cassette=str(tmp_path / "demo.yaml"),
                )
            )
            model.complete(asked(1))
            model.complete(after_ls())
            model.finish(content=True)
        recorded = load_cassette(tmp_path / "demo.yaml")
        assert (recorded.provenance, recorded.model, recorded.match) == ("recorded", "openai/test", "tail")
        assert recorded.recorded_at is not None
        assert [entry.expects.exit_codes for entry in recorded.replies] == [[], [0]]
        assert recorded.replies[1].reply.usage is not None
        assert recorded.replies[1].reply.usage.cached_tokens == 5
        again = ReplayModel(tmp_path / "demo.yaml")
        assert [again.complete(asked(1)).content, again.complete(after_ls()).content] == ["look", "done"]
        again.finish(content=True)

    def test_a_careless_reply_is_recorded_and_replays_like_any_other(self, tmp_path: Path) -> None:
        """Two calls with one id, a call of no name, half a character, arguments that JSON does not have."""
        careless = [
            call({"command": "a"}),
            call({"command": "b"}),
            call({}, name="", call_id="c"),
            call('{"command": NaN}'),
        ]
        half = json.dumps(reply("HALF", calls=careless).body).replace("HALF", r"x\ud83d").encode()
        target = tmp_path / "demo.yaml"
        with ModelServer(Answer(body=half), reply("done")) as server:
            defaults = ModelDefaults(name="openai/test", api_base=server.url)
            model = open_model(task(model="openai/test", model_defaults=defaults, record_cassette=str(target)))
            said = model.complete(asked(1))
            model.complete(after_ls())
            model.finish(content=True)
        replayed = ReplayModel(target).complete(asked(1))
        assert (replayed.content, replayed.tool_calls) == (said.content, said.tool_calls)
        assert len({call.tool_call_id for call in said.tool_calls}) == 4

    @pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
    def test_a_file_system_without_hard_links_takes_a_cassette_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "link", refuse)
        assert load_cassette(record(cassette(tmp_path, entry(1, LS)), tmp_path / "new.yaml", asked(1))).replies

    @pytest.mark.parametrize("place", ["file/new.yaml", "x" * 300])
    def test_a_place_that_cannot_be_written_is_found_before_a_reply_is_paid_for(
        self, tmp_path: Path, place: str
    ) -> None:
        (tmp_path / "file").touch()
        inner = ReplayModel(cassette(tmp_path, entry(1, LS)))
        with pytest.raises(InfrastructureError, match="cannot write the cassette"):
            RecordingModel(inner, tmp_path / place, redactor=Redactor({}))

    def test_a_place_that_fails_on_the_way_is_not_the_agents_failure(self, tmp_path: Path) -> None:
        inner = ReplayModel(cassette(tmp_path, entry(1, LS)))
        (tmp_path / "new").mkdir()
        model = RecordingModel(inner, tmp_path / "new" / "new.yaml", redactor=Redactor({}))
        (tmp_path / "new").rmdir()
        (tmp_path / "new").touch()
        with pytest.raises(InfrastructureError, match="cannot write the cassette"):
            model.complete(asked(1))

    def test_a_script_keeps_its_provenance_and_gets_its_expectations(self, tmp_path: Path) -> None:
        script = cassette(tmp_path, entry(1, LS), entry(2, END))
        recorded = load_cassette(record(script, tmp_path / "new.yaml", asked(1), after_ls()))
        assert (recorded.provenance, recorded.model) == ("scripted", "scripted")
        assert recorded.replies[1].expects.exit_codes == [0]
        assert recorded.replies[1].expects.tail is not None
        assert recorded.replies[1].expects.text == "exit code: 0\na\n"

    def test_text_of_several_lines_can_be_read(self, tmp_path: Path) -> None:
        script = cassette(tmp_path, entry(1, {"content": "one\ntwo\n"}))
        assert "content: |\n      one\n      two\n" in record(script, tmp_path / "new.yaml", asked(1)).read_text()

    def test_what_was_said_so_far_survives_a_crash(self, tmp_path: Path) -> None:
        script = cassette(tmp_path, entry(1, LS), entry(2, END))
        model = RecordingModel(ReplayModel(script), tmp_path / "new.yaml", redactor=Redactor({}))
        model.complete(asked(1))
        assert not (tmp_path / "new.yaml").exists()
        assert len(load_cassette(tmp_path / "new.yaml.partial").replies) == 1

    def test_an_existing_cassette_is_never_overwritten(self, tmp_path: Path) -> None:
        script = cassette(tmp_path, entry(1, LS))
        before = script.read_bytes()
        with pytest.raises(BlockedError) as caught:
            open_model(task(model=f"replay:{script}", record_cassette=str(script)))
        assert caught.value.cause is Cause.CONFIGURATION
        assert script.read_bytes() == before

    def test_a_cassette_that_appeared_meanwhile_is_not_overwritten_either(self, tmp_path: Path) -> None:
        script = cassette(tmp_path, entry(1, LS))
        target = tmp_path / "new.yaml"
        model = RecordingModel(ReplayModel(script), target, redactor=Redactor({}))
        model.complete(asked(1))
        target.write_text("someone else's")
        with pytest.raises(BlockedError):
            model.finish(content=False)
        assert target.read_text() == "someone else's"

    def test_each_scenario_has_a_cassette_of_its_own(self, tmp_path: Path) -> None:
        assert cassette_path(str(tmp_path), "plan") == tmp_path / "plan.cassette.yaml"
        assert cassette_path(f"{tmp_path}/new/", "plan") == tmp_path / "new" / "plan.cassette.yaml"
        assert cassette_path(f"{tmp_path}/{{scenario}}.yaml", "plan") == tmp_path / "plan.yaml"
        assert cassette_path(f"{tmp_path}/one.yaml", "plan") == tmp_path / "one.yaml"

    def test_values_of_keys_are_not_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DEMO_API_KEY", "hunter2-hunter2")
        leak = [call({"command": "echo hunter2-hunter2"})]
        with ModelServer(reply("hunter2-hunter2", calls=leak), reply("done")) as server:
            defaults = ModelDefaults(name="openai/test", api_base=server.url)
            target = tmp_path / "demo.yaml"
            model = open_model(task(model="openai/test", model_defaults=defaults, record_cassette=str(target)))
            model.complete(asked(1))
            model.complete(after_ls("exit code: 0\nhunter2-hunter2\n"))
            model.finish(content=True)
        assert "hunter2" not in target.read_text()
        assert target.read_text().count("[redacted:DEMO_API_KEY]") == 3


def test_a_task_without_a_model_blocks() -> None:
    with pytest.raises(BlockedError, match="--specbench-model"):
        open_model(task())
