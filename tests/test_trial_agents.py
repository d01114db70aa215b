"""Agents of any kind: what they leave running is dead before anything is verified, and their defects are theirs."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from scenario_files import Project, command, living_with

HEAD = """
import os, sys, threading
from pytest_specbench.agents.base import AgentOutcome
from pytest_specbench.core.errors import AgentError, InfrastructureError
from pytest_specbench.core.metrics import Measurement
from pytest_specbench.core.status import Cause

class Actor:
    name = "actor"
    version = "1"
    acts_freely = False
    trusted = True

    def __init__(self, **options):
        self.options = options

    def prepare(self, task):
        pass

    def configuration(self):
        return {}

    def run(self, task, shell, journal):
"""

BACKENDS = ["local", pytest.param("docker", marks=pytest.mark.docker)]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a sandbox, with its image where it needs one."""
    if request.param == "docker":
        request.getfixturevalue("runner_image")
    return str(request.param)


def acting(project: Project, body: str, **changes: object) -> None:
    """A scenario whose agent's `run` has this body."""
    project.module("actors", HEAD + textwrap.indent(textwrap.dedent(body), " " * 8))
    project.scenario(**({"agent": {"name": "actors:Actor"}} | changes))


class TestWhatIsLeftRunning:
    def test_it_is_dead_before_verification_and_listed(self, project: Project, backend: str) -> None:
        project.scenario(
            agent=command(
                "setsid sh -c 'echo $$ > pid; exec sleep 98765' & while ! test -s pid; do :; done; "
                "echo made > result.txt"
            ),
            # By its command line: its number may be another's by now, and a zombie has no command line.
            verification={"command": "! ps -eo args= | grep '[s]leep 98765'"},
        )

        ran = project.run(f"--specbench-sandbox={backend}")

        assert ran.verdict() == ("provisional", "verified", 0)
        assert any("sleep 98765" in line for line in ran.run()["trials"][0]["killed"])
        assert living_with("sleep 98765") == []

    def test_what_a_timed_out_agent_left_never_makes_the_artifact(self, project: Project, backend: str) -> None:
        # The process waits for the verifier's file: it would make the artifact as soon as verification begins.
        project.file("proof/there.txt", "now\n")
        project.scenario(
            agent=command(
                "setsid sh -c 'while ! test -e .verification/there.txt; do :; done; echo late > result.txt' & "
                "sleep 98764"
            ),
            deadlines={"agent_sec": 1.5},
            verification={"command": "sleep 0.5; test ! -e result.txt", "files": "proof"},
            success_artifacts=None,
        )

        ran = project.run(f"--specbench-sandbox={backend}")

        assert ran.verdict() == ("regression", "agent_timeout", 1)
        assert [check["passed"] for check in ran.run()["trials"][0]["checks"]] == [True]
        assert living_with("sleep 98764") == []

    def test_a_timed_out_agent_fails_even_when_the_verifier_says_yes(self, project: Project, backend: str) -> None:
        project.scenario(agent=command("echo made > result.txt; sleep 98763"), deadlines={"agent_sec": 1.5})

        ran = project.run(f"--specbench-sandbox={backend}")

        assert ran.verdict() == ("regression", "agent_timeout", 1)
        assert all(check["passed"] for check in ran.run()["trials"][0]["checks"])
        assert ran.scenario()["metrics"]["success"]["value"] is False

    def test_what_the_verifier_needs_is_not_there_while_the_agent_lives(self, project: Project, backend: str) -> None:
        project.file("proof/answer.txt", "42\n")
        project.scenario(
            agent=command("ls -aR > result.txt; mkdir -p .verification; echo 41 > .verification/answer.txt"),
            verification={
                "command": "! grep answer.txt result.txt && grep -qx 42 .verification/answer.txt",
                "files": "proof",
            },
        )

        assert project.run(f"--specbench-sandbox={backend}").verdict() == ("provisional", "verified", 0)


class TestAgentsOfThirdParties:
    def test_one_that_hangs_in_python_is_stopped_at_its_deadline(self, project: Project) -> None:
        acting(
            project,
            """
            shell.run("echo made > result.txt")
            threading.Event().wait(10)  # longer than its deadline, and not for ever: other tests look for threads left
            """,
            deadlines={"agent_sec": 0.5},
        )

        ran = project.run()

        assert ran.verdict() == ("regression", "agent_timeout", 1)
        assert "agent was still running after 0.5 s" in ran.scenario()["notes"]

    def test_one_that_goes_on_after_its_deadline_has_no_shell(self, project: Project) -> None:
        acting(
            project,
            """
            try:
                while True:
                    shell.run("echo made > result.txt; sleep 600", timeout_sec=5)
            finally:
                try:
                    shell.run("echo late > late.txt")
                except BaseException as error:
                    shell.failure = error
                    raise
            """,
            deadlines={"agent_sec": 0.5},
            success_artifacts=None,
            verification={"command": "test ! -e late.txt"},
        )

        ran = project.run()

        assert ran.verdict() == ("regression", "agent_timeout", 1)
        assert [check["passed"] for check in ran.run()["trials"][0]["checks"]] == [True]

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ("raise RuntimeError('lost its way')", "RuntimeError: lost its way"),
            ("raise AgentError('gave up by itself')", "gave up by itself"),
            ("sys.exit('enough')", "SystemExit: enough"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt"),
            ("return None", "returned NoneType"),
            ("return {'success': True}", "returned dict"),
            ("return AgentOutcome(cause='fine')", "cause of its outcome is 'fine'"),
            ("return AgentOutcome(exit_status='0')", "exit_status of its outcome is '0'"),
            ("return AgentOutcome(usage={'steps': 3})", "usage 'steps': 3"),
            ("return AgentOutcome(usage={'stepps': Measurement(value=3)})", "usage 'stepps'"),
            ("return AgentOutcome(notes=None)", "notes of its outcome is None"),
        ],
    )
    def test_a_defect_of_the_agent_is_the_agents_failure(self, project: Project, body: str, said: str) -> None:
        acting(project, f"shell.run('echo made > result.txt')\n{body}\n")

        ran = project.run()

        assert ran.verdict() == ("regression", "agent_crashed", 1)
        assert said in ran.scenario()["notes"]

    def test_a_defect_of_an_agent_that_ships_with_us_is_ours(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stumble(*_: object) -> None:
            raise KeyError("nothing there")

        monkeypatch.setattr("pytest_specbench.agents.nop.NopAgent.run", stumble)
        project.scenario(agent={"name": "nop"})

        ran = project.run()

        assert ran.verdict() == ("blocked", "internal_error", 2)
        assert "specbench's own agent 'nop' has a defect: KeyError: 'nothing there'" in ran.scenario()["notes"]

    def test_a_provider_that_fails_is_nobodys_failure(self, project: Project) -> None:
        acting(project, "raise InfrastructureError('503 from the provider', cause=Cause.PROVIDER_FAILED)")

        ran = project.run()

        assert ran.verdict() == ("blocked", "provider_failed", 2)
        assert ran.run()["trials"][0]["outcome"] == "infrastructure"

    @pytest.mark.parametrize("end", ["return AgentOutcome()", "raise RuntimeError('lost')"])
    def test_nor_is_a_sandbox_that_fails_whatever_the_agent_makes_of_it(self, project: Project, end: str) -> None:
        acting(
            project,
            f"""
            shell._sandbox.close()
            try:
                shell.run("echo made > result.txt")
            except InfrastructureError:
                {end}
            """,
        )

        assert project.run().verdict() == ("blocked", "sandbox_failed", 2)

    @pytest.mark.parametrize(
        "cause", ["agent_gave_up", "step_limit", "token_limit", "cost_limit", "denied", "replay_outcome_changed"]
    )
    def test_what_the_agent_says_about_its_end_stands(self, project: Project, cause: str) -> None:
        acting(project, f"shell.run('echo made > result.txt')\nreturn AgentOutcome(Cause('{cause}'), 'as it says', 5)")

        ran = project.run()

        assert ran.verdict() == ("regression", cause, 1)
        assert ran.scenario()["notes"] == "as it says"
        assert ran.scenario()["metrics"]["exit_status"]["value"] == 5

    def test_what_it_claims_about_success_is_not_believed(self, project: Project) -> None:
        acting(project, "return AgentOutcome()")

        assert project.run().verdict() == ("regression", "artifact_missing", 1)

    def test_an_agent_that_cannot_be_made_blocks(self, project: Project) -> None:
        project.module("actors", "class Actor:\n    def __init__(self, **options): raise RuntimeError('no licence')\n")
        project.scenario(agent={"name": "actors:Actor"})

        ran = project.run()

        assert ran.code == 2
        assert ran.judged()[0] == "blocked"
        assert "no licence" in ran.scenario()["notes"]

    def test_the_time_limit_of_a_command_is_the_scenarios(self, project: Project) -> None:
        acting(
            project,
            """
            result = shell.run("echo begun; sleep 98762")
            assert result.exit_code is None and "begun" in result.output, result
            assert shell.run("echo made > result.txt").exit_code == 0
            assert shell.read("*.txt") == {"result.txt": "made\\n"}
            return AgentOutcome()
            """,
            limits={"command_sec": 0.5},
        )

        ran = project.run()

        assert ran.verdict() == ("provisional", "verified", 0)
        assert living_with("sleep 98762") == []
        assert ran.scenario()["metrics"]["steps"]["value"] == 2

    def test_every_trial_gets_a_fresh_agent_and_a_fresh_sandbox(self, project: Project) -> None:
        acting(
            project,
            """
            assert not self.options.get("used")
            self.options["used"] = True
            assert shell.run("test ! -e result.txt && echo made > result.txt").exit_code == 0
            return AgentOutcome()
            """,
            trials=3,
        )

        assert project.run().verdict() == ("provisional", "verified", 0)

    def test_what_it_used_is_summarised_over_the_trials(self, project: Project) -> None:
        acting(
            project,
            """
            shell.run("echo made > result.txt")
            return AgentOutcome(usage={"input_tokens": Measurement(value=10), "cost_usd": Measurement(value=0.25)})
            """,
            trials=2,
            metrics_tracked=["success", "cost_usd"],
            thresholds={"cost_usd": 10},
        )

        ran = project.run()

        assert ran.verdict() == ("provisional", "verified", 0)
        metrics = ran.scenario()["metrics"]
        assert metrics["cost_usd"]["values"] == [0.25, 0.25]
        assert metrics["input_tokens"]["value"] == 10
        assert metrics["output_tokens"] == metrics["output_tokens"] | {"value": None}
        assert "the agent does not report it" in metrics["output_tokens"]["reason"]


FLAKY = '''
import pathlib
from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.local.backend import LocalBackend

COUNTER = pathlib.Path(__file__).with_name("starts")

class Backend(LocalBackend):
    """Fails at the starts whose numbers stand in `fail`."""
    name = "flaky"
    fail = ()
    def start(self, spec):
        count = int(COUNTER.read_text()) + 1 if COUNTER.exists() else 1
        COUNTER.write_text(str(count))
        if count in self.fail:
            raise InfrastructureError(f"start {count} failed")
        return super().start(spec)

class FailsOnce(Backend):
    fail = (2,)

class FailsTwice(Backend):
    fail = (2, 3)

class FailsFirst(Backend):
    fail = (1,)

class FailsTwiceApart(Backend):
    fail = (1, 4)
'''


class TestSeveralTrials:
    def test_one_failure_of_the_infrastructure_is_repeated_once_and_kept(self, either: Project) -> None:
        either.module("flaky", FLAKY)
        either.scenario(trials=3)

        ran = either.run("--specbench-sandbox=flaky:FailsOnce")

        assert ran.verdict() == ("provisional", "verified", 0)
        trials = ran.run()["trials"]
        assert [(trial["index"], trial["outcome"], trial["repeated"]) for trial in trials] == [
            (1, "success", False),
            (2, "infrastructure", True),
            (2, "success", False),
            (3, "success", False),
        ]
        assert (ran.scenario()["trials"], ran.scenario()["trials_repeated"]) == (3, 1)
        assert ran.scenario()["metrics"]["success"]["values"] == [True, True, True]
        summary = json.loads((ran.trial(name="trial-02") / "summary.json").read_text())
        assert summary["reason"] == "start 2 failed"
        assert (ran.trial(name="trial-02-again") / "agent.cast").is_file()

    @pytest.mark.parametrize("which", ["FailsTwice", "FailsTwiceApart"])
    def test_a_second_one_blocks(self, project: Project, which: str) -> None:
        project.module("flaky", FLAKY)
        project.scenario(trials=3)

        ran = project.run(f"--specbench-sandbox=flaky:{which}")

        assert ran.verdict() == ("blocked", "sandbox_failed", 2)

    def test_a_single_trial_is_not_repeated(self, project: Project) -> None:
        project.module("flaky", FLAKY)
        project.scenario()

        ran = project.run("--specbench-sandbox=flaky:FailsFirst")

        assert ran.verdict() == ("blocked", "sandbox_failed", 2)
        assert len(ran.run()["trials"]) == 1

    def test_a_failure_of_the_agent_is_never_repeated(self, project: Project) -> None:
        project.scenario(trials=3, agent=command("exit 1"))

        ran = project.run()

        assert ran.verdict() == ("regression", "agent_crashed", 1)
        assert [trial["outcome"] for trial in ran.run()["trials"]] == ["failure"] * 3

    def test_a_sandbox_that_breaks_while_the_agent_acts_is_no_failure_of_the_agent(self, project: Project) -> None:
        project.module(
            "flaky",
            """
from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.sandboxes.local.backend import LocalBackend

class Backend(LocalBackend):
    name = "flaky"
    def start(self, spec):
        sandbox = super().start(spec)
        def broken(*args, **kwargs):
            raise InfrastructureError("the engine went away")
        sandbox.exec = broken
        return sandbox
""",
        )
        project.scenario()

        ran = project.run("--specbench-sandbox=flaky:Backend")

        assert ran.verdict() == ("blocked", "sandbox_failed", 2)
        assert "the engine went away" in ran.scenario()["notes"]

    def test_a_backend_that_breaks_its_contract_is_told_as_a_defect(self, project: Project) -> None:
        project.module(
            "flaky",
            """
from pytest_specbench.sandboxes.local.backend import LocalBackend

class Backend(LocalBackend):
    name = "flaky"
    def start(self, spec):
        raise ValueError("not in the contract")
""",
        )
        project.scenario()

        ran = project.run("--specbench-sandbox=flaky:Backend")

        assert ran.verdict() == ("blocked", "internal_error", 2)
        assert "ValueError: not in the contract" in ran.scenario()["notes"]
        assert str(project.path / "flaky.py") in (ran.trial() / "raw" / "events.jsonl").read_text()


def test_nothing_is_left_of_the_local_sandbox(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    project.scenario(agent=command("echo made > result.txt; mkdir -p deep/er; chmod 500 deep"))

    ran = project.process("-p", "no:cacheprovider")

    assert ran.code == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("specbench-")] == []
