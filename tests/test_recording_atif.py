"""Trajectories: what the journal becomes, what the checker refuses, and that Harbor accepts whatever we accept."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_specbench.core.errors import UsageError
from pytest_specbench.recording.atif import (
    ATIF_VERSION,
    SUPPORTED_VERSIONS,
    TrajectoryHead,
    build_trajectory,
    check_trajectory,
)
from pytest_specbench.recording.files import write_json
from pytest_specbench.recording.journal import RecordedStep, StepUsage, ToolCall

START = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)
HEAD = TrajectoryHead(
    "trial-1",
    "spec-kit-orchestrator",
    "1.0",
    "Do it.",
    START,
    model_name="openai/x",
    extra={"cause": "verified"},
    metrics_extra={"peak_memory_mb": 12.5},
)
type Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="session")
def harbor() -> Callable[[Any], list[str]]:
    """Harbor's own validator: returns its errors. Without it: skip, or fail where SPECBENCH_REQUIRE_ENGINE=1."""
    os.environ.setdefault("HARBOR_TELEMETRY", "0")
    try:
        from harbor.utils.trajectory_validator import TrajectoryValidator
    except ImportError as error:
        message = f"Harbor's validator is not installed (pip install --no-deps harbor): {error}"
        if os.environ.get("SPECBENCH_REQUIRE_ENGINE") == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)

    def errors(document: Any) -> list[str]:
        validator = TrajectoryValidator()
        valid = validator.validate(document)
        return [] if valid else list(validator.errors) or ["invalid"]

    return errors


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def steps() -> list[RecordedStep]:
    call = ToolCall("c1", "shell", {"command": "ls"})
    return [
        RecordedStep(1, at(0), "system", "You are an agent."),
        RecordedStep(2, at(0), "user", "Do it."),
        RecordedStep(
            3,
            at(1),
            "agent",
            "",
            "openai/x",
            "hm",
            (call,),
            StepUsage(10, 2, 4, 0.5, {"id": "x"}),
            {"stage": "plan"},
            (("c1", "spec.md\n"),),
        ),
        RecordedStep(4, at(2), "agent", "done", usage=StepUsage(20, 3, 0, 0.25)),
    ]


def valid() -> dict[str, Any]:
    return build_trajectory(steps(), HEAD)


def test_a_journal_becomes_a_trajectory() -> None:
    document = valid()
    assert document["schema_version"] == ATIF_VERSION == "ATIF-v1.6"
    assert document["session_id"] == "trial-1"
    assert document["agent"] == {"name": "spec-kit-orchestrator", "version": "1.0", "model_name": "openai/x"}
    assert document["steps"][2] == {
        "step_id": 3,
        "timestamp": "2026-11-22T10:15:31+00:00",
        "source": "agent",
        "model_name": "openai/x",
        "message": "",
        "reasoning_content": "hm",
        "tool_calls": [{"tool_call_id": "c1", "function_name": "shell", "arguments": {"command": "ls"}}],
        "observation": {"results": [{"source_call_id": "c1", "content": "spec.md\n"}]},
        "metrics": {
            "prompt_tokens": 10,
            "completion_tokens": 2,
            "cached_tokens": 4,
            "cost_usd": 0.5,
            "extra": {"id": "x"},
        },
        "extra": {"stage": "plan"},
    }
    assert document["final_metrics"] == {
        "total_prompt_tokens": 30,
        "total_completion_tokens": 5,
        "total_cached_tokens": 4,
        "total_cost_usd": 0.75,
        "total_steps": 4,
        "extra": {"peak_memory_mb": 12.5},
    }
    assert check_trajectory(document) == []


def test_a_total_is_missing_where_one_step_did_not_report() -> None:
    journal = [*steps(), RecordedStep(5, at(3), "agent", "again", usage=StepUsage(input_tokens=1))]
    final = build_trajectory(journal, HEAD)["final_metrics"]
    assert final == {"total_prompt_tokens": 31, "total_steps": 5, "extra": {"peak_memory_mb": 12.5}}


def test_an_agent_without_steps_leaves_the_instruction() -> None:
    document = build_trajectory([], HEAD)
    assert [(step["source"], step["message"]) for step in document["steps"]] == [("user", "Do it.")]
    assert document["final_metrics"] == {"total_steps": 1, "extra": {"peak_memory_mb": 12.5}}
    assert check_trajectory(document) == []


def test_the_version_is_pinned_by_whoever_asks() -> None:
    for version in SUPPORTED_VERSIONS:
        assert check_trajectory(build_trajectory(steps(), HEAD, version=version)) == []
    with pytest.raises(UsageError, match=r"ATIF-v9.*\n.*ATIF-v1\.5"):
        build_trajectory(steps(), HEAD, version="ATIF-v9")


def test_a_trial_that_was_cut_off_may_end_in_an_unanswered_call() -> None:
    call = ToolCall("c9", "shell", {})
    cut = [*steps(), RecordedStep(5, at(3), "agent", "", tool_calls=(call,))]
    assert check_trajectory(build_trajectory(cut, HEAD)) == []
    goes_on = [*cut, RecordedStep(6, at(4), "agent", "")]
    assert check_trajectory(build_trajectory(goes_on, HEAD)) == [
        "$.steps[4].tool_calls[0].tool_call_id: no observation answers 'c9'"
    ]


HARBOR_REFUSES: dict[str, tuple[Edit, str]] = {
    "no steps": (lambda d: d.update(steps=[]), "$.steps"),
    "steps missing": (lambda d: d.pop("steps"), "$.steps: this required field is missing"),
    "agent missing": (lambda d: d.pop("agent"), "$.agent"),
    "agent version missing": (lambda d: d["agent"].pop("version"), "$.agent.version"),
    "unknown field": (lambda d: d.update(surprise=1), "$.surprise: ATIF has no such field"),
    "unknown step field": (lambda d: d["steps"][0].update(surprise=1), "$.steps[0].surprise"),
    "unknown version": (lambda d: d.update(schema_version="ATIF-v0.9"), "$.schema_version"),
    "gap in the numbers": (lambda d: d["steps"][1].update(step_id=7), "$.steps[1].step_id"),
    "numbered from zero": (lambda d: d["steps"][0].update(step_id=0), "$.steps[0].step_id"),
    "unknown source": (lambda d: d["steps"][0].update(source="tool"), "$.steps[0].source"),
    "message missing": (lambda d: d["steps"][0].pop("message"), "$.steps[0].message"),
    "message null": (lambda d: d["steps"][0].update(message=None), "$.steps[0].message"),
    "no time": (lambda d: d["steps"][0].update(timestamp="yesterday"), "$.steps[0].timestamp"),
    "Z in the middle": (lambda d: d["steps"][0].update(timestamp="2026-11-22Z10:00:00"), "$.steps[0].timestamp"),
    "user with tool calls": (lambda d: d["steps"][1].update(tool_calls=[]), "$.steps[1]"),
    "user with metrics": (lambda d: d["steps"][1].update(metrics={}), "$.steps[1]"),
    "user with a model": (lambda d: d["steps"][1].update(model_name="x"), "$.steps[1]"),
    "call without arguments": (
        lambda d: d["steps"][2]["tool_calls"][0].pop("arguments"),
        "$.steps[2].tool_calls[0].arguments",
    ),
    "arguments as text": (
        lambda d: d["steps"][2]["tool_calls"][0].update(arguments="{}"),
        "$.steps[2].tool_calls[0].arguments",
    ),
    "dangling observation": (
        lambda d: d["steps"][2]["observation"]["results"][0].update(source_call_id="zz"),
        "$.steps[2].observation.results[0].source_call_id",
    ),
    "call of another step": (
        lambda d: d["steps"][3].update(observation={"results": [{"source_call_id": "c1"}]}),
        "$.steps[3].observation.results[0].source_call_id",
    ),
    "observation without results": (lambda d: d["steps"][2].update(observation={}), "$.steps[2].observation.results"),
    "tokens as text": (
        lambda d: d["steps"][2]["metrics"].update(prompt_tokens="many"),
        "$.steps[2].metrics.prompt_tokens",
    ),
    "half a token": (lambda d: d["steps"][2]["metrics"].update(prompt_tokens=1.5), "$.steps[2].metrics.prompt_tokens"),
    "negative number of steps": (lambda d: d["final_metrics"].update(total_steps=-1), "$.final_metrics.total_steps"),
    "image without source": (lambda d: d["steps"][1].update(message=[{"type": "image"}]), "$.steps[1].message"),
    "text part without text": (lambda d: d["steps"][1].update(message=[{"type": "text"}]), "$.steps[1].message"),
    "reference to nothing": (
        lambda d: d["steps"][2]["observation"]["results"][0].update(subagent_trajectory_ref=[{"session_id": "x"}]),
        "$.steps[2].observation.results[0].subagent_trajectory_ref[0]",
    ),
    "metrics without a model call": (
        lambda d: (d.update(schema_version="ATIF-v1.7"), d["steps"][2].update(llm_call_count=0)),
        "$.steps[2]",
    ),
    "nameless subagent": (
        lambda d: d.update(schema_version="ATIF-v1.7", subagent_trajectories=[copy.deepcopy(d)]),
        "$.subagent_trajectories[0].trajectory_id",
    ),
}
ONLY_STRICT_REFUSES: dict[str, tuple[Edit, str]] = {
    "no version": (lambda d: d.pop("schema_version"), "$: `schema_version` is missing"),
    "no session": (lambda d: d.pop("session_id"), "$: `session_id` is missing"),
    "the same call twice": (
        lambda d: d["steps"][2]["tool_calls"].append(d["steps"][2]["tool_calls"][0]),
        "is there twice",
    ),
    "unanswered call": (lambda d: d["steps"][2].pop("observation"), "no observation answers 'c1'"),
    "back in time": (
        lambda d: d["steps"][3].update(timestamp="2026-11-22T10:00:00Z"),
        "is earlier than the step before",
    ),
    "no time zone": (lambda d: d["steps"][3].update(timestamp="2026-11-22T10:20:00"), "has no time zone"),
    "negative tokens": (lambda d: d["steps"][3]["metrics"].update(completion_tokens=-3), "-3 is negative"),
    "negative cost": (lambda d: d["steps"][3]["metrics"].update(cost_usd=-0.1), "-0.1 is negative"),
    "cached beyond the prompt": (
        lambda d: d["steps"][3]["metrics"].update(cached_tokens=21),
        "more than the prompt's 20",
    ),
    "cost not a number": (
        lambda d: d["steps"][3]["metrics"].update(cost_usd=float("nan")),
        "$.steps[3].metrics.cost_usd",
    ),
    "infinity deep inside": (
        lambda d: d["extra"].update(x=[{"y": float("inf")}]),
        "$.extra.x[0].y: inf is no JSON number",
    ),
    "wrong total of tokens": (
        lambda d: d["final_metrics"].update(total_prompt_tokens=31),
        "31 is not the sum of the steps, 30",
    ),
    "wrong total of cost": (
        lambda d: d["final_metrics"].update(total_cost_usd=0.0),
        "0.0 is not the sum of the steps, 0.75",
    ),
    "a total that nobody reported": (lambda d: d["steps"][3].pop("metrics"), "not every step of the agent reports"),
    "wrong number of steps": (lambda d: d["final_metrics"].update(total_steps=9), "9 is not the number of steps, 4"),
    "1.7 in 1.6": (lambda d: d.update(trajectory_id="x"), "$.trajectory_id: this came with ATIF-v1.7"),
    "1.7 call count in 1.6": (
        lambda d: d["steps"][2].update(llm_call_count=1),
        "$.steps[2].llm_call_count: this came with ATIF-v1.7",
    ),
    "1.6 image in 1.5": (
        lambda d: (d.update(schema_version="ATIF-v1.5"), d["steps"][1].update(message=[{"type": "text", "text": "x"}])),
        "$.steps[1].message: this came with ATIF-v1.6",
    ),
    "number as text": (lambda d: d["steps"][0].update(step_id="1"), "$.steps[0].step_id"),
}


@pytest.mark.parametrize("name", HARBOR_REFUSES)
def test_what_harbor_refuses_is_refused_with_its_place(name: str, harbor: Callable[[Any], list[str]]) -> None:
    edit, expected = HARBOR_REFUSES[name]
    document = valid()
    edit(document)
    assert harbor(document)
    for strict in (True, False):
        problems = check_trajectory(document, strict)
        assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize("name", ONLY_STRICT_REFUSES)
def test_strict_refuses_what_harbor_leaves_to_trust(name: str) -> None:
    edit, expected = ONLY_STRICT_REFUSES[name]
    document = valid()
    edit(document)
    problems = check_trajectory(document)
    assert any(expected in problem for problem in problems), problems


def test_without_strict_only_form_and_linkage_count() -> None:
    document = valid()
    document.pop("session_id")
    document["steps"][3]["timestamp"] = "2020-01-01T00:00:00Z"
    document["final_metrics"]["total_prompt_tokens"] = 5
    assert check_trajectory(document, strict=False) == []


def test_a_file_is_checked_as_it_lies_there(tmp_path: Path, harbor: Callable[[Any], list[str]]) -> None:
    path = tmp_path / "trajectory.json"
    write_json(path, valid())
    assert check_trajectory(path) == []
    assert harbor(path) == []
    for content in ("", "{", "[]", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000):
        path.write_text(content)
        assert len(check_trajectory(path)) == 1
    assert "cannot be read" in check_trajectory(tmp_path / "absent.json")[0]
    document = valid()
    document["steps"][1]["message"] = [{"type": "image", "source": {"media_type": "image/png", "path": "absent.png"}}]
    path.write_text(json.dumps(document))
    assert "absent.png" in check_trajectory(path)[0]
    assert harbor(path)


# -- generated ---------------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS, lambda inner: st.lists(inner, max_size=2), max_leaves=3
)
USAGE = st.builds(
    lambda tokens, out, part, cost: StepUsage(
        tokens, out, None if tokens is None or part is None else tokens * part // 4, cost
    ),
    st.none() | st.integers(0, 10**12),
    st.none() | st.integers(0, 10**6),
    st.none() | st.integers(0, 4),
    st.none() | st.floats(0, 1000),
)


@st.composite
def journals(draw: st.DrawFn) -> list[RecordedStep]:
    found: list[RecordedStep] = []
    seconds = 0.0
    for number in range(1, draw(st.integers(0, 5)) + 1):
        seconds += draw(st.floats(0, 100))
        source = draw(st.sampled_from(["system", "user", "agent"]))
        step: dict[str, Any] = {"step_id": number, "at": at(seconds), "source": source, "message": draw(TEXTS)}
        ids: list[str] = []
        if source == "agent":
            ids = draw(st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=3))
            step["tool_calls"] = tuple(
                ToolCall(each, "shell", draw(st.dictionaries(TEXTS, PLAIN, max_size=2))) for each in ids
            )
            step["usage"] = draw(st.none() | USAGE)
            step["reasoning"] = draw(st.none() | TEXTS)
            step["model_name"] = draw(st.none() | TEXTS)
        extra = [None] if draw(st.booleans()) else []
        step["observations"] = tuple((each, draw(TEXTS)) for each in [*ids, *extra])
        found.append(RecordedStep(**step))
    return found


@given(journal=journals(), version=st.sampled_from(SUPPORTED_VERSIONS))
@settings(max_examples=100, deadline=None)
def test_every_journal_becomes_a_trajectory_that_both_accept(
    journal: list[RecordedStep], version: str, harbor: Callable[[Any], list[str]]
) -> None:
    document = json.loads(json.dumps(build_trajectory(journal, HEAD, version=version)))
    assert check_trajectory(document) == []
    assert harbor(document) == []


VALUES = st.sampled_from(
    [None, "", "x", "c1", "1", 0, 1, -1, 2.5, 10**400, True, [], {}, [{}], ["x"], {"x": 1}, "ATIF-v1.7", "agent"]
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [(value, key) for key, _ in items] + [place for _, item in items for place in places(item)]


@given(data=st.data())
@settings(max_examples=250, deadline=None)
def test_what_we_accept_harbor_accepts_whatever_is_changed(
    data: st.DataObject, harbor: Callable[[Any], list[str]]
) -> None:
    document = valid()
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(document)))
        if data.draw(st.booleans()) and len(container) > 1:
            del container[key]
        else:
            container[key] = copy.deepcopy(data.draw(VALUES))
    problems = check_trajectory(document)
    lenient = check_trajectory(document, strict=False)
    if harbor(document):
        assert problems
        assert lenient
    assert bool(problems) or not lenient
