"""Every way a scenario can end has its status, its cause and its exit code."""

from __future__ import annotations

import os
from typing import Any

import pytest
from scenario_files import Project, command, counted


def agent_module(body: str) -> str:
    """A module `actors` with an agent `Actor` whose `run` has this body; it may run unisolated."""
    indented = "\n".join(f"        {line}" for line in body.splitlines())
    return f"""
from pytest_specbench.agents.base import AgentOutcome
from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.status import Cause

class Actor:
    name = "actor"
    version = "1"
    acts_freely = False
    trusted = True

    def prepare(self, task):
        pass

    def configuration(self):
        return {{}}

    def run(self, task, shell, journal):
{indented}
"""


class TestProvisional:
    def test_a_success_without_a_baseline_is_provisional_and_green(self, either: Project) -> None:
        either.scenario()

        ran = either.run()

        assert ran.verdict() == ("provisional", "verified", 0)
        assert ran.report["summary"] == {
            "regressions": 0,
            "blocked": 0,
            "provisional": 1,
            "passed": 0,
            "total": 1,
        }
        assert ran.report["exit_code"] == 0

    @pytest.mark.parametrize("agent", ["oracle", "command"])
    def test_whoever_acts_well_succeeds(self, project: Project, agent: str) -> None:
        project.file("solve.sh", "echo solved > result.txt\n")
        project.scenario(solution="solve.sh", **({"agent": {"name": "oracle"}} if agent == "oracle" else {}))

        assert project.run().verdict() == ("provisional", "verified", 0)


FAILURES: dict[str, tuple[str, dict[str, Any]]] = {
    "the artifact is missing": ("artifact_missing", {"agent": {"name": "nop"}}),
    "the artifact is empty": ("artifact_invalid", {"agent": command(": > result.txt")}),
    "the artifact fails its check": (
        "artifact_invalid",
        {"agent": command("echo '{' > result.txt"), "success_artifacts": [{"path": "result.txt", "check": "json"}]},
    ),
    "the verification command says no": ("verifier_said_no", {"verification": {"command": "grep -q other result.txt"}}),
    "the agent ends with an error": ("agent_crashed", {"agent": command("echo made > result.txt; exit 3")}),
    "the agent runs into its deadline": (
        "agent_timeout",
        {"agent": command("echo made > result.txt; sleep 600"), "deadlines": {"agent_sec": 0.5}},
    ),
}


class TestFunctionalFailure:
    @pytest.mark.parametrize(("cause", "changes"), FAILURES.values(), ids=FAILURES)
    def test_it_is_a_regression(self, project: Project, cause: str, changes: dict[str, Any]) -> None:
        project.scenario(**changes)

        ran = project.run()

        assert ran.verdict() == ("regression", cause, 1)
        assert ran.run()["trials"][0]["outcome"] == "failure"

    def test_all_of_them_and_all_blocks_beside_a_success(self, either: Project) -> None:
        for number, (_, changes) in enumerate(FAILURES.values()):
            either.scenario(f"bad-{number}", **changes)
        for number, (_, changes, _) in enumerate(BLOCKED.values()):
            either.scenario(f"stuck-{number}", **changes)
        either.scenario("good")

        ran = either.run()

        assert ran.code == 1
        assert ran.report["summary"] == {
            "regressions": len(FAILURES),
            "blocked": len(BLOCKED),
            "provisional": 1,
            "passed": 0,
            "total": len(FAILURES) + len(BLOCKED) + 1,
        }
        causes = [cause for cause, _ in FAILURES.values()]
        assert [ran.judged(f"bad-{number}")[1] for number in range(len(FAILURES))] == causes

    def test_a_denial_that_stops_the_agent(self, project: Project) -> None:
        project.module(
            "actors",
            agent_module(
                """
result = shell.run("rm -rf everything")
assert result.denied and result.exit_code == 126
return AgentOutcome(Cause.DENIED, result.output, 1)
"""
            ),
        )
        project.scenario(
            agent={"name": "actors:Actor"}, approval_mode="trusted", success_artifacts=[{"path": "*"}],
            allow={"deny": ["rm *"]},
        )  # fmt: skip

        ran = project.run("--specbench-approval-mode=trusted")

        assert ran.verdict() == ("regression", "denied", 1)
        assert "rm *" in ran.scenario()["notes"]
        assert "denied" in (ran.trial() / "raw" / "events.jsonl").read_text()

    def test_a_command_outside_of_the_mode_never_runs(self, project: Project) -> None:
        project.module("actors", agent_module("shell.run('echo made > result.txt')\nreturn AgentOutcome()"))
        project.scenario(agent={"name": "actors:Actor"}, approval_mode="minimal")

        ran = project.run("--specbench-approval-mode=minimal")

        assert ran.verdict() == ("regression", "artifact_missing", 1)

    def test_the_text_shown_names_cause_checks_artifacts_and_the_next_command(self, project: Project) -> None:
        project.scenario(agent={"name": "nop"}, verification={"command": "echo said by the verifier; exit 1"})

        ran = project.run()

        assert "demo (The scenario demo): failed, artifact missing" in ran.out
        assert "No file matches result.txt." in ran.out
        assert "| said by the verifier" in ran.out
        assert "next: specbench run --scenarios demo" in ran.out
        assert "Traceback" not in ran.out


BLOCKED: dict[str, tuple[str, dict[str, Any], str]] = {
    "an unknown agent": ("configuration", {"agent": {"name": "oracel"}}, "the nearest is 'oracle'"),
    "an unknown option of the agent": (
        "configuration",
        {"agent": {"name": "command", "options": {"comand": "true"}}},
        "the nearest is 'command'",
    ),
    "the oracle without a solution": ("configuration", {"agent": {"name": "oracle"}}, "has no solution"),
    "a missing secret": ("key_missing", {"secrets": ["NOBODY_HAS_THIS"]}, "export NOBODY_HAS_THIS=..."),
    "more CPUs than there are": ("host_too_small", {"runner": {"cpus": 1024}}, "needs 1024 CPUs"),
    "a dataset that is not there": ("dataset_missing", {"registry_version": "suite==9.9"}, "suite==1.0"),
    "a verifier that cannot be started": (
        "verifier_crashed",
        {"verification": {"command": "no-such-program-anywhere"}},
        "could not be started (exit status 127)",
    ),
    "a verifier that is killed": ("verifier_crashed", {"verification": {"command": "kill -9 $$"}}, "signal 9"),
    "a verifier that does not end": (
        "verifier_timeout",
        {"verification": {"command": "sleep 600"}, "deadlines": {"verification_sec": 0.5}},
        "still running at its deadline",
    ),
    "a tracked metric that nobody measures": (
        "metric_unmeasured",
        {"metrics_tracked": ["success", "cost_usd"], "thresholds": {"cost_usd": 10}},
        "the tracked metric cost_usd could not be measured",
    ),
    "a live model where nothing is isolated": (
        "not_isolated",
        {
            "agent": {"name": "spec-kit-orchestrator"},
            "model": {"name": "openai/some-model"},
            "command_path": "/specify",
        },
        "--specbench-sandbox=docker",
    ),
}


class TestBlocked:
    @pytest.mark.parametrize(("cause", "changes", "said"), BLOCKED.values(), ids=BLOCKED)
    def test_it_says_nothing_about_the_agent(
        self, project: Project, cause: str, changes: dict[str, Any], said: str
    ) -> None:
        project.scenario(**changes)

        ran = project.run()

        assert ran.verdict() == ("blocked", cause, 2)
        assert said in ran.scenario()["notes"]
        assert said in ran.out
        assert "Traceback" not in ran.out

    def test_a_set_up_command_that_fails(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        nowhere = project.path / "programs"
        nowhere.mkdir()
        (nowhere / "git").write_text("#!/bin/sh\necho git is broken; exit 9\n")
        (nowhere / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{nowhere}{os.pathsep}{os.environ['PATH']}")
        project.scenario(fixtures={"repository": {"type": "git"}}, prerequisites=["repository"])

        ran = project.run()

        assert ran.verdict() == ("blocked", "setup_failed", 2)
        assert "fixture 'repository'" in ran.scenario()["notes"]
        assert "git is broken" in ran.scenario()["notes"]

    def test_an_engine_that_does_not_answer(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
        project.scenario()

        ran = project.run("--specbench-sandbox=docker")

        assert ran.verdict() == ("blocked", "engine_missing", 2)

    def test_a_cassette_that_is_not_there(self, project: Project) -> None:
        project.scenario(agent={"name": "spec-kit-orchestrator"}, command_path="/specify")

        ran = project.run("--specbench-model=replay:none.yaml")

        assert ran.verdict() == ("blocked", "configuration", 2)
        assert "there is no cassette 'none.yaml'" in ran.scenario()["notes"]

    def test_the_approval_mode_is_never_raised_by_a_scenario(self, project: Project) -> None:
        project.scenario(agent={"name": "nop"}, approval_mode="trusted")
        project.more_ini(approval_mode="")

        ran = project.run()

        assert ran.verdict() == ("blocked", "approval_mode", 2)
        notes = ran.scenario()["notes"]
        assert "approval mode 'minimal' (from default) is less than 'trusted'" in notes
        assert "demo.scenario.yaml:" in notes
        assert "--specbench-approval-mode=trusted" in notes
        assert "specbench_approval_mode = trusted" in notes

    def test_an_agent_whose_commands_cannot_be_policed_needs_full_access(self, project: Project) -> None:
        project.scenario(approval_mode="minimal")

        ran = project.run("--specbench-approval-mode=trusted")

        assert ran.verdict() == ("blocked", "approval_mode", 2)
        assert "cannot be policed one by one" in ran.scenario()["notes"]

    @pytest.mark.parametrize("granted", ["trusted", "full-access"])
    def test_a_mode_that_grants_more_than_is_needed_will_do(self, project: Project, granted: str) -> None:
        project.scenario(agent={"name": "nop"}, approval_mode="trusted", success_artifacts=None,
                         verification={"command": "true"})  # fmt: skip

        ran = project.run(f"--specbench-approval-mode={granted}")

        assert ran.verdict() == ("provisional", "verified", 0)
        assert ran.report["settings"]["approval_mode"] == granted


class TestSeveralScenarios:
    def test_a_regression_wins_over_a_block(self, project: Project) -> None:
        project.scenario("bad", agent={"name": "nop"})
        project.scenario("stuck", agent={"name": "unheard-of"})

        ran = project.run()

        assert ran.code == 1
        assert ran.report["exit_reason"] == "1 failed: bad (artifact missing); 1 blocked: stuck (configuration)"
        assert "specbench: exit 1: " in ran.out

    def test_ordinary_tests_keep_their_own_outcome(self, either: Project) -> None:
        either.scenario()
        either.file("test_plain.py", "def test_one(): pass\ndef test_two(): assert not 'this one fails'\n")

        ran = either.run()

        assert ran.code == 1
        assert ran.judged() == ("provisional", "verified")
        assert ran.report["exit_reason"] == "1 other test failed"
        assert counted(ran.out) == {"failed": 1, "passed": 1, "provisional": 1}

    def test_ordinary_tests_that_pass_do_not_hide_a_block(self, project: Project) -> None:
        project.scenario(agent={"name": "unheard-of"})
        project.file("test_plain.py", "def test_one(): pass\n")

        ran = project.run()

        assert ran.code == 2
        assert counted(ran.out) == {"passed": 1, "errors": 1}

    def test_an_ordinary_failure_beside_a_block_is_no_block(self, project: Project) -> None:
        project.scenario(agent={"name": "unheard-of"})
        project.file("test_plain.py", "def test_one(): assert False\n")

        assert project.run().code == 1
