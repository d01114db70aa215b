"""The orchestrator: a model driven through the real Spec Kit tree, with real commands, gates and limits."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from agents_support import PLAN, SPEC, TASKS, FolderShell, MemoryJournal, init_project, task, write
from model_server import Answer, ModelServer, call, error, reply, shell, usage

from pytest_specbench.agents import AGENTS
from pytest_specbench.agents.base import AgentOutcome, Chargeable
from pytest_specbench.agents.models.spend import SpendLedger
from pytest_specbench.agents.orchestrator.adapter import OrchestratorAgent
from pytest_specbench.agents.orchestrator.gates import FEATURE_FILE, Gates
from pytest_specbench.agents.orchestrator.loop import cut
from pytest_specbench.agents.orchestrator.prompts import render_prompt
from pytest_specbench.agents.orchestrator.stages import PLAN as PLAN_STAGE
from pytest_specbench.agents.orchestrator.stages import SPECIFY
from pytest_specbench.core.errors import AgentError, BlockedError, InfrastructureError, UsageError
from pytest_specbench.core.status import Cause
from pytest_specbench.scenarios.model import Limits, ModelDefaults, Prices

DONE = reply("done")
MAKE_SPEC = ".specify/scripts/bash/create-new-feature.sh --json --short-name word-count 'Count words'"
FEATURE = "specs/001-word-count"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return init_project(tmp_path_factory.mktemp("spec-kit"))


@pytest.fixture
def project(template: Path, tmp_path: Path) -> FolderShell:
    folder = tmp_path / "work"
    subprocess.run(["cp", "-a", str(template), str(folder)], check=True)
    return FolderShell(folder)


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


class Driver:
    """Runs the orchestrator against a server that gives scripted answers."""

    def __init__(self, project: FolderShell, journal: MemoryJournal) -> None:
        self.project, self.journal = project, journal
        self.server: ModelServer | None = None
        self.options: dict[str, Any] = {}
        self.ledger: SpendLedger | None = None

    def __call__(
        self, path: str, *answers: Answer, defaults: dict[str, Any] | None = None, **limits: Any
    ) -> AgentOutcome:
        self.server = ModelServer(*answers)
        with self.server as server:
            values = {"name": "openai/test", "api_base": server.url, "retries": 0, **(defaults or {})}
            job = task(
                command_path=path,
                model="openai/test",
                model_defaults=ModelDefaults(**values),
                limits=Limits(**limits),
            )
            agent = OrchestratorAgent(**self.options)
            if self.ledger is not None:
                agent.charge_to(self.ledger)
            agent.prepare(job)
            return agent.run(job, self.project, self.journal)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The bodies of the requests."""
        assert self.server is not None
        return [request.body for request in self.server.requests]


@pytest.fixture
def drive(project: FolderShell, journal: MemoryJournal) -> Driver:
    return Driver(project, journal)


def put(project: FolderShell, name: str, text: str) -> None:
    """A document of the feature that is there before the agent starts."""
    path = project.folder / FEATURE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def feature(project: FolderShell, name: str, spec: str) -> None:
    """A feature with no more than its spec."""
    (project.folder / "specs" / name).mkdir(parents=True)
    (project.folder / "specs" / name / "spec.md").write_text(spec)


class TestPipeline:
    def test_the_whole_workflow_runs_stage_by_stage(
        self, drive: Driver, project: FolderShell, journal: MemoryJournal
    ) -> None:
        outcome = drive(
            "/specify -> /plan -> /tasks -> execute",
            shell(MAKE_SPEC),
            shell(write(f"{FEATURE}/spec.md", SPEC)),
            DONE,
            shell(".specify/scripts/bash/setup-plan.sh --json"),
            shell(write(f"{FEATURE}/plan.md", PLAN)),
            DONE,
            shell(write(f"{FEATURE}/tasks.md", TASKS)),
            DONE,
            shell("printf 'wc -w < \"$1\"\\n' > count.sh"),
            shell(f"sed -i 's/- \\[ \\]/- [X]/' {FEATURE}/tasks.md"),
            DONE,
        )

        assert outcome.cause is Cause.VERIFIED, outcome.reason
        assert (outcome.exit_status, outcome.usage["steps"].value) == (0, 11)
        assert (project.folder / "count.sh").exists()
        assert [details["stage"] for name, details in journal.events if name == "stage_end"] == [
            "specify",
            "plan",
            "tasks",
            "implement",
        ]
        assert "artifact specs/001-word-count/plan.md" in outcome.notes[1]

    def test_each_stage_gets_its_command_file_and_a_fresh_conversation(
        self, drive: Driver, project: FolderShell
    ) -> None:
        drive(
            "/specify -> /plan",
            shell(write(f"{FEATURE}/spec.md", SPEC)),
            DONE,
            shell(write(f"{FEATURE}/plan.md", PLAN)),
            DONE,
        )
        first, plan = drive.sent[0]["messages"], drive.sent[2]["messages"]
        assert [message["role"] for message in plan] == ["system", "user"]
        assert "never wait" in first[0]["content"].lower()
        for message, stage in ((first[1], "specify"), (plan[1], "plan")):
            file = (project.folder / f".agent/commands/speckit.{stage}.md").read_text()
            assert message["content"] == render_prompt(file, "Count words in a text.")
            assert "Count words in a text." in message["content"]
        assert [tool["function"]["name"] for tool in drive.sent[0]["tools"]] == ["shell"]

    def test_the_model_sees_exit_code_and_output_of_its_commands(self, drive: Driver) -> None:
        drive("/specify", shell("echo out; echo err >&2; exit 3"), shell(write(f"{FEATURE}/spec.md", SPEC)), DONE)
        seen = drive.sent[1]["messages"][-1]
        assert (seen["role"], seen["tool_call_id"]) == ("tool", "call_1")
        assert seen["content"] == "exit code: 3\nout\nerr\n"

    def test_everything_is_taken_down(self, drive: Driver, journal: MemoryJournal) -> None:
        drive("/specify", shell(write(f"{FEATURE}/spec.md", SPEC), content="writing", usage=usage(50, 5, 0)), DONE)
        assert [step.source for step in journal.steps] == ["system", "user", "agent", "agent"]
        step = journal.of("agent")[0]
        assert step.text == "writing"
        assert step.tool_calls[0].function_name == "shell"
        assert step.usage is not None
        assert step.usage.input_tokens == 50
        assert step.observations == [("call_1", "exit code: 0\n")]
        assert step.extra["stage"] == "specify"

    def test_ids_of_calls_are_unique_in_the_trajectory(self, drive: Driver, journal: MemoryJournal) -> None:
        drive("/specify", shell("true"), shell("true"), shell(write(f"{FEATURE}/spec.md", SPEC)), DONE)
        ids = [call.tool_call_id for step in journal.of("agent") for call in step.tool_calls]
        assert ids == ["call_1", "call_1-2", "call_1-3"]
        assert drive.sent[2]["messages"][-1]["tool_call_id"] == "call_1-2"

    def test_several_calls_of_one_reply_run_in_order(self, drive: Driver, project: FolderShell) -> None:
        both = [call({"command": "echo 1 > n"}, call_id="a"), call({"command": "cat n"}, call_id="b")]
        drive("/specify", reply("", calls=both), shell(write(f"{FEATURE}/spec.md", SPEC)), DONE)
        assert [m["content"] for m in drive.sent[1]["messages"][-2:]] == ["exit code: 0\n", "exit code: 0\n1\n"]

    def test_long_output_is_cut_in_the_middle_and_says_so(self, drive: Driver) -> None:
        drive("/specify", shell("seq 1 20000"), shell(write(f"{FEATURE}/spec.md", SPEC)), DONE)
        content = drive.sent[1]["messages"][-1]["content"]
        assert len(content) < 17_000
        assert content.startswith("exit code: 0\n1\n2\n")
        assert content.endswith("19999\n20000\n")
        assert "characters left out" in content

    def test_a_reply_that_was_cut_does_not_end_the_stage(self, drive: Driver) -> None:
        outcome = drive(
            "/specify", reply("I was going to", finish="length"), shell(write(f"{FEATURE}/spec.md", SPEC)), DONE
        )
        assert outcome.cause is Cause.VERIFIED
        assert "cut" in drive.sent[1]["messages"][-1]["content"]

    def test_feature_json_decides_between_several_features(self, drive: Driver, project: FolderShell) -> None:
        put(project, "spec.md", SPEC)
        outcome = drive(
            "/specify",
            shell(write("specs/002-other/spec.md", "nothing")),
            shell('printf \'{"feature_directory": "specs/001-word-count"}\' > .specify/feature.json'),
            DONE,
        )
        assert outcome.cause is Cause.VERIFIED, outcome.reason

    def test_a_feature_folder_may_be_an_absolute_path_in_the_project(self, drive: Driver, project: FolderShell) -> None:
        name = f'{{"feature_directory": "{project.folder}/features/a"}}'
        outcome = drive(
            "/specify",
            shell(write("features/a/spec.md", SPEC)),
            shell(f"printf '{name}' > .specify/feature.json"),
            DONE,
        )
        assert outcome.cause is Cause.VERIFIED, outcome.reason
        assert "artifact features/a/spec.md" in outcome.notes[0]

    @pytest.mark.parametrize(
        "record",
        [
            '{"feature_directory": "specs/001-word-count"}',
            '\ufeff{"feature_directory": "specs/001-word-count"}',
            '{"feature_directory": "specs/001-word-count",}',
            '{"feature_directory": "./specs/x/../001-word-count/"}',
        ],
    )
    def test_the_record_is_read_as_spec_kits_scripts_read_it(self, project: FolderShell, record: str) -> None:
        put(project, "spec.md", SPEC)
        feature(project, "002-other", "nothing")
        (project.folder / FEATURE_FILE).write_text(record, "utf-8")
        assert Gates(project).after(SPECIFY) == f"{FEATURE}/spec.md"

    @pytest.mark.parametrize("name", ["001-[a]", "001-a *", "001 [!b]?", "-1"])
    def test_a_folder_of_a_feature_may_have_any_name(self, project: FolderShell, name: str) -> None:
        feature(project, name, SPEC)
        feature(project, "002-other", "nothing")
        (project.folder / FEATURE_FILE).write_text(f'{{"feature_directory": "specs/{name}"}}')
        assert Gates(project).after(SPECIFY) == f"specs/{name}/spec.md"

    @pytest.mark.parametrize(
        "content",
        ["", "[]", "{", '{"feature_directory": 3}', *(f'{{"feature_directory": "{at}"}}' for at in ("../../etc", "."))],
    )
    def test_a_record_that_names_no_feature_stops_as_spec_kits_scripts_do(
        self, project: FolderShell, content: str
    ) -> None:
        """Whatever else is there may be another feature's."""
        put(project, "spec.md", SPEC)
        (project.folder / FEATURE_FILE).write_text(content)
        with pytest.raises(AgentError, match=FEATURE_FILE) as failed:
            Gates(project).after(SPECIFY)
        assert failed.value.cause is Cause.ARTIFACT_INVALID
        with pytest.raises(BlockedError, match=FEATURE_FILE):
            Gates(project).before(PLAN_STAGE)

    @pytest.mark.parametrize(
        ("older", "newer"),
        [
            ("999-a", "1000-b"),
            ("1000-b", "20260319-143022-a"),
            ("20260319-143022-z", "20260319-143023-a"),
            ("notes", "001-b"),
        ],
    )
    def test_without_a_record_the_newest_feature_counts(self, project: FolderShell, older: str, newer: str) -> None:
        """By Spec Kit's numbers, and not by the alphabet."""
        feature(project, older, "nothing")
        feature(project, newer, SPEC)
        assert Gates(project).after(SPECIFY) == f"specs/{newer}/spec.md"

    def test_a_plan_of_an_older_feature_is_no_plan_of_the_newest(self, project: FolderShell) -> None:
        put(project, "plan.md", PLAN)
        feature(project, "002-new", SPEC)
        with pytest.raises(AgentError, match=r"002-new/plan\.md"):
            Gates(project).after(PLAN_STAGE)


class TestGates:
    def test_an_agent_that_does_nothing_gave_up(self, drive: Driver) -> None:
        outcome = drive("/specify", reply("All done!"))
        assert (outcome.cause, outcome.exit_status) == (Cause.AGENT_GAVE_UP, 1)

    def test_a_stage_without_its_artifact_fails(self, drive: Driver) -> None:
        outcome = drive("/specify -> /plan", shell("true"), DONE)
        assert outcome.cause is Cause.ARTIFACT_MISSING
        assert "stage 'specify' ended without specs/*/spec.md" in outcome.reason
        assert len(drive.sent) == 2

    def test_an_untouched_spec_template_is_refused(self, drive: Driver) -> None:
        outcome = drive("/specify", shell(MAKE_SPEC), DONE)
        assert outcome.cause is Cause.ARTIFACT_INVALID
        assert "spec.md" in outcome.reason

    def test_an_untouched_plan_template_is_refused(self, drive: Driver, project: FolderShell) -> None:
        put(project, "spec.md", SPEC)
        feature = 'printf \'{"feature_directory": "specs/001-word-count"}\' > .specify/feature.json'
        outcome = drive("/plan", shell(f"{feature}; .specify/scripts/bash/setup-plan.sh --json"), DONE)
        assert outcome.cause is Cause.ARTIFACT_INVALID, outcome.reason

    def test_an_untouched_tasks_template_is_refused(self, drive: Driver, project: FolderShell) -> None:
        put(project, "plan.md", PLAN)
        outcome = drive("/tasks", shell(f"cp .specify/templates/tasks-template.md {FEATURE}/tasks.md"), DONE)
        assert outcome.cause is Cause.ARTIFACT_INVALID, outcome.reason

    def test_tasks_that_are_not_ticked_off_are_not_done(self, drive: Driver, project: FolderShell) -> None:
        put(project, "tasks.md", TASKS)
        outcome = drive("execute", shell("true"), DONE)
        assert outcome.cause is Cause.ARTIFACT_INVALID
        assert "T001" in outcome.reason

    @pytest.mark.parametrize(
        ("path", "missing"), [("/plan", "spec.md"), ("/tasks", "plan.md"), ("execute", "tasks.md")]
    )
    def test_what_should_have_been_set_up_blocks(self, drive: Driver, path: str, missing: str) -> None:
        with pytest.raises(BlockedError) as caught:
            drive(path)
        assert caught.value.cause is Cause.CONFIGURATION
        assert missing in str(caught.value)
        assert drive.sent == []

    def test_an_unsound_prerequisite_blocks(self, drive: Driver, project: FolderShell) -> None:
        put(project, "spec.md", "# nothing\n")
        with pytest.raises(BlockedError, match="cannot start"):
            drive("/plan")

    def test_a_path_that_skips_a_stage_needs_what_that_stage_makes(self, drive: Driver) -> None:
        with pytest.raises(BlockedError, match=r"plan\.md"):
            drive("/specify -> /tasks", shell(write(f"{FEATURE}/spec.md", SPEC)), DONE)

    def test_a_project_without_spec_kit_blocks(self, journal: MemoryJournal, tmp_path: Path) -> None:
        with pytest.raises(BlockedError, match="no Spec Kit command file"):
            Driver(FolderShell(tmp_path), journal)("/specify")


class TestMisbehaviour:
    @pytest.mark.parametrize(
        ("bad", "told"),
        [
            (call("{not json"), "no JSON object"),
            (call({"command": "ls"}, name="browser"), "there is no tool 'browser'"),
            (call({}), "'command' is missing"),
            (call({"command": 3}), "'command' is missing"),
            (call({"command": "ls", "cwd": "/"}), "unknown argument 'cwd'"),
        ],
    )
    def test_a_call_that_cannot_be_understood_is_told_to_the_model_and_counts(
        self, drive: Driver, bad: dict[str, Any], told: str
    ) -> None:
        outcome = drive("/specify", reply("", calls=[bad]), shell(write(f"{FEATURE}/spec.md", SPEC)), DONE)
        assert outcome.cause is Cause.VERIFIED, outcome.reason
        assert outcome.usage["steps"].value == 3
        result = drive.sent[1]["messages"][-1]
        assert result["content"].startswith("error: ")
        assert told in result["content"]

    def test_a_denied_command_is_told_to_the_model(self, drive: Driver, project: FolderShell) -> None:
        project.deny = ("curl",)
        drive("/specify", shell("curl x"), shell(write(f"{FEATURE}/spec.md", SPEC)), DONE)
        assert drive.sent[1]["messages"][-1]["content"].startswith("exit code: 126 (denied, it did not run)\ndenied:")

    def test_three_denials_in_a_row_stop_it(self, drive: Driver, project: FolderShell) -> None:
        project.deny = ("curl",)
        answers = [shell("curl a"), shell("true"), shell("curl b"), shell("curl c"), shell("curl d"), DONE]
        outcome = drive("/specify", *answers)
        assert (outcome.cause, len(drive.sent)) == (Cause.DENIED, 5)

    def test_how_many_denials_stop_it_is_an_option(self, drive: Driver, project: FolderShell) -> None:
        project.deny = ("curl",)
        drive.options = {"max_denials": 1}
        assert drive("/specify", shell("curl a")).cause is Cause.DENIED

    def test_endless_nonsense_stops_it(self, drive: Driver) -> None:
        drive.options = {"max_errors": 2}
        outcome = drive("/specify", *[reply("", calls=[call("{")])] * 2)
        assert outcome.cause is Cause.AGENT_GAVE_UP

    def test_a_failing_provider_is_not_the_agents_failure(self, drive: Driver) -> None:
        with pytest.raises(InfrastructureError) as caught:
            drive("/specify", shell("true"), error(500))
        assert caught.value.cause is Cause.PROVIDER_FAILED


class TestLimits:
    def test_steps(self, drive: Driver) -> None:
        outcome = drive("/specify", *[shell("true")] * 5, steps=3)
        assert (outcome.cause, len(drive.sent), outcome.usage["steps"].value) == (Cause.STEP_LIMIT, 3, 3)

    def test_the_last_allowed_step_may_end_the_work(self, drive: Driver) -> None:
        outcome = drive("/specify", shell(write(f"{FEATURE}/spec.md", SPEC)), DONE, steps=2)
        assert outcome.cause is Cause.VERIFIED

    def test_tokens(self, drive: Driver, journal: MemoryJournal) -> None:
        outcome = drive("/specify", *[shell("true", usage=usage(40, 10, 0))] * 5, tokens=100)
        assert (outcome.cause, len(drive.sent)) == (Cause.TOKEN_LIMIT, 3)
        assert outcome.usage["input_tokens"].value == 120
        assert len(journal.of("agent")) == 3

    def test_cost(self, drive: Driver) -> None:
        prices = Prices(input=1.0, output=1.0)
        answers = [shell("true", usage=usage(400_000, 0, 0))] * 5
        outcome = drive("/specify", *answers, defaults={"prices": prices}, cost_usd=1.0)
        assert (outcome.cause, outcome.usage["cost_usd"].value) == (Cause.COST_LIMIT, pytest.approx(1.2))

    @pytest.mark.parametrize("limit", [{"tokens": 100}, {"cost_usd": 1.0}])
    def test_a_limit_that_cannot_be_held_blocks(self, drive: Driver, limit: dict[str, Any]) -> None:
        with pytest.raises(BlockedError) as caught:
            drive("/specify", shell("true"), **limit)
        assert caught.value.cause is Cause.METRIC_UNMEASURED

    def test_usage_is_null_with_a_reason_when_one_reply_lacked_it(self, drive: Driver) -> None:
        outcome = drive("/specify", shell(write(f"{FEATURE}/spec.md", SPEC), usage=usage(10, 1, 0)), DONE)
        tokens = outcome.usage["input_tokens"]
        assert (tokens.value, tokens.reason) == (None, "1 of 2 replies: the provider reported no usage")

    def test_the_sessions_cap(self, drive: Driver, tmp_path: Path) -> None:
        drive.ledger = SpendLedger(tmp_path / "spend.jsonl", 0.5)
        answers = [shell("true", usage=usage(400_000, 0, 0))] * 5
        with pytest.raises(BlockedError) as caught:
            drive("/specify", *answers, defaults={"prices": Prices(input=1.0, output=1.0)})
        assert caught.value.cause is Cause.SESSION_COST_CAP
        assert drive.ledger.total() == pytest.approx(0.8)


class TestDeadline:
    def test_at_the_deadline_what_was_used_is_still_known(
        self, drive: Driver, project: FolderShell, journal: MemoryJournal
    ) -> None:
        drive("/specify", reply("warm"))  # the first request of a process imports for a second or more
        with ModelServer(shell("true", usage=usage(10, 1, 0)), Answer(hold=True)) as server:
            defaults = ModelDefaults(name="openai/test", api_base=server.url)
            job = task(model="openai/test", model_defaults=defaults)
            agent = OrchestratorAgent()
            agent.prepare(job)
            outcome = agent.run(job.at(time.monotonic() + 3), project, journal)
        assert (outcome.cause, outcome.exit_status) == (Cause.AGENT_TIMEOUT, 1)
        assert outcome.usage["input_tokens"].value == 10
        assert agent.usage()["steps"].value == 1

    def test_another_thread_can_give_up_a_request(self, project: FolderShell, journal: MemoryJournal) -> None:
        with ModelServer(error(429, Retry_After="3600"), reply("never")) as server:
            job = task(model="openai/test", model_defaults=ModelDefaults(name="openai/test", api_base=server.url))
            agent = OrchestratorAgent()
            agent.prepare(job)
            agent.cancel()
            assert agent.run(job, project, journal).cause is Cause.AGENT_TIMEOUT


class TestReplay:
    @pytest.fixture
    def cassette(self, tmp_path: Path) -> Path:
        command = write(f"{FEATURE}/spec.md", SPEC)
        call = {"id": "call_1", "name": "shell", "arguments": {"command": command}}
        head = {"cassette": 1, "provenance": "scripted", "model": "scripted"}
        replies = [
            {"stage": "specify", "step": 1, "tools": ["shell"], "reply": {"content": "go", "tool_calls": [call]}},
            {
                "stage": "specify",
                "step": 2,
                "tools": ["shell"],
                "expects": {"exit_codes": [0]},
                "reply": {"content": "ok"},
            },
        ]
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump(head | {"replies": replies}))
        return path

    def run(self, cassette: Path, shell: FolderShell, **changes: Any) -> AgentOutcome:
        job = task(model=f"replay:{cassette}", **changes)
        agent = OrchestratorAgent()
        agent.prepare(job)
        assert agent.trusted_in_replay
        return agent.run(job, shell, MemoryJournal())

    def test_its_commands_really_run_and_its_tokens_are_not_measured(
        self, cassette: Path, project: FolderShell
    ) -> None:
        outcome = self.run(cassette, project, limits=Limits(cost_usd=0.01, tokens=1))
        assert outcome.cause is Cause.VERIFIED, outcome.reason
        assert (project.folder / FEATURE / "spec.md").read_text() == SPEC
        for name in ("input_tokens", "output_tokens", "cached_tokens", "cost_usd"):
            assert outcome.usage[name].reason == "not measured under replay"
        assert outcome.usage["steps"].value == 2

    def test_a_command_that_now_fails_is_a_finding(self, cassette: Path, project: FolderShell) -> None:
        (project.folder / "specs").write_text("in the way")
        outcome = self.run(cassette, project)
        assert outcome.cause is Cause.REPLAY_OUTCOME_CHANGED

    def test_a_recording_of_a_replay_replays(
        self, cassette: Path, project: FolderShell, tmp_path: Path, template: Path
    ) -> None:
        assert self.run(cassette, project, record_cassette=str(tmp_path / "out") + "/").cause is Cause.VERIFIED
        again = tmp_path / "elsewhere"
        subprocess.run(["cp", "-a", str(template), str(again)], check=True)
        assert self.run(tmp_path / "out" / "demo.cassette.yaml", FolderShell(again)).cause is Cause.VERIFIED


class TestContract:
    def test_it_is_registered_and_loading_it_is_cheap(self) -> None:
        program = (
            "import sys; from pytest_specbench.agents import AGENTS; agent = AGENTS.load('spec-kit-orchestrator')();"
            "print(sorted({'terminal_bench', 'litellm', 'docker', 'pytest'} & set(sys.modules)), agent.name)"
        )
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert result.stdout == "[] spec-kit-orchestrator\n"

    def test_its_model_can_be_charged_to_the_session(self) -> None:
        agent = AGENTS.load("spec-kit-orchestrator")()
        assert isinstance(agent, Chargeable)
        assert (agent.acts_freely, agent.trusted) == (False, False)

    def test_an_unknown_option_names_the_nearest(self) -> None:
        with pytest.raises(UsageError, match="the nearest is 'max_denials'"):
            OrchestratorAgent(max_denial=2)

    @pytest.mark.parametrize("value", [0, -1, "3", True, 1.5, None])
    def test_a_wrong_value_is_refused(self, value: Any) -> None:
        with pytest.raises(UsageError, match="whole number"):
            OrchestratorAgent(max_denials=value)

    def test_a_wrong_command_path_is_found_before_the_clock_starts(self) -> None:
        with pytest.raises(UsageError, match="no stage"):
            OrchestratorAgent().prepare(task(command_path="/specfy", model="openai/test"))

    def test_its_configuration_names_its_options_and_the_price_table_of_a_live_model(self) -> None:
        agent = OrchestratorAgent(max_denials=5)
        assert agent.configuration() == {"max_denials": 5, "max_errors": 10, "output_limit": 16_000}
        defaults = ModelDefaults(name="openai/test", api_base="http://127.0.0.1:9")
        agent.prepare(task(model="openai/test", model_defaults=defaults))
        assert str(agent.configuration()["price_table"]).startswith("litellm ")


def test_cut_keeps_short_text_and_marks_what_it_left_out() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcdefghij", 4) == "ab\n[... 6 characters left out ...]\nij"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
