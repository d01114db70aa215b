"""Every option: command line over environment over ini file over default, and a wrong value names its place."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from scenario_files import Project, command

from pytest_specbench.option_table import OPTIONS, Option

GOOD: dict[str, tuple[str, Any]] = {
    "dataset": ("suite==1.0", "suite==1.0"),
    "registry": ("registry.json", "registry.json"),
    "scenarios": ("demo, other", ["demo", "other"]),
    "agent": ("nop", "nop"),
    "model": ("replay:a.yaml", "replay:a.yaml"),
    "record": ("cassette.yaml", "{root}/cassette.yaml"),
    "sandbox": ("local", "local"),
    "trials": ("2", 2),
    "output": ("elsewhere", "{root}/elsewhere"),
    "format": ("json", "json"),
    "approval-mode": ("trusted", "trusted"),
    "max-cost": ("0.5", 0.5),
    "baselines": ("approved", "{root}/approved"),
    "host-parity": ("portable", "portable"),
    "require-baseline": ("always", "always"),
    "host-class": ("ci-4core", "ci-4core"),
    "allow-unisolated-model": ("true", True),
    "allow-dirty": ("true", True),
    "no-incident": ("true", True),
    "incidents": ("folder,github:team/tool", "folder,github:team/tool"),
    "incident-branches": ("main, release/*", ["main", "release/*"]),
    "keep": ("true", True),
    "signing": ("required", "required"),
    "four-eyes": ("true", True),
    "signing-key": ("key", "key"),
    "run": ("deadbeef", "deadbeef"),
    "notes": ("good", "good"),
    "rotation": ("team", "team"),
    "accept-regression": ("upstream", "upstream"),
    "portable": ("true", True),
    "expires": ("2999-01-02", date(2999, 1, 2)),
    "dry-run": ("true", True),
    "keep-runs": ("3", 3),
    "keep-days": ("30", 30.0),
}
"""Option -> a value as it is given, and as it stands in the settings."""

BAD = {
    "trials": ["0", "-1", "two", "1.5"],
    "max-cost": ["0", "-1", "nan", "inf", "much"],
    "format": ["yaml"],
    "approval-mode": ["fullaccess"],
    "host-parity": ["blok"],
    "require-baseline": ["sometimes"],
    "allow-dirty": ["perhaps"],
    "signing": ["sometimes"],
    "expires": ["tomorrow", "2026-13-01"],
    "keep-runs": ["0"],
    "incidents": ["folders", "none,folder", "github:tool", "webhook:nowhere", ","],
}

ELSEWHERE = {"lock", "lock-check", "resume", "approve", "trusted-ref"}
"""Options that run nothing, or need a run or a repository; they have tests of their own."""


def option(name: str) -> Option:
    return next(each for each in OPTIONS if each.name == name)


def read(project: Project, name: str, *arguments: str) -> tuple[Any, str]:
    """The value of an option and where it came from, as a session with these arguments sees them."""
    import pytest_specbench.options as module

    settings = module.read_settings(project.pytester.parseconfigure(*arguments))
    value = getattr(settings, option(name).field)
    plain = str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
    return plain, settings.sources[option(name).field]


def test_every_option_is_tested_here() -> None:
    assert {each.name for each in OPTIONS} - ELSEWHERE == set(GOOD)


@pytest.mark.parametrize("name", GOOD)
class TestSources:
    def test_command_line(self, project: Project, name: str) -> None:
        text, value = GOOD[name]
        flag = option(name).option if option(name).flag else f"{option(name).option}={text}"

        assert read(project, name, flag) == (expected(value, project), "command line")

    def test_ini_file(self, project: Project, name: str) -> None:
        text, value = GOOD[name]
        project.ini(**{name.replace("-", "_"): text})

        assert read(project, name) == (expected(value, project), f"ini {option(name).ini}")

    def test_default(self, project: Project, name: str) -> None:
        project.ini()

        _, source = read(project, name)

        assert source == "default"

    def test_environment_over_ini_file_and_command_line_over_both(
        self, project: Project, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        variable = option(name).environment
        if variable is None:
            pytest.skip("has no environment variable")
        text, value = GOOD[name]
        project.ini(**{name.replace("-", "_"): "minimal" if name == "approval-mode" else "from-ini"})
        monkeypatch.setenv(variable, text)

        assert read(project, name) == (expected(value, project), f"environment {variable}")

        monkeypatch.setenv(variable, "minimal" if name == "approval-mode" else "from-environment")
        assert read(project, name, f"{option(name).option}={text}") == (expected(value, project), "command line")


def expected(value: Any, project: Project) -> Any:
    return value.replace("{root}", str(project.path)) if isinstance(value, str) else value


def test_the_variables_of_the_contract() -> None:
    assert {name for each in OPTIONS for name in each.variables} >= {
        "SPEC_BENCH_DATASET",
        "SPEC_BENCH_SCENARIOS",
        "SPEC_BENCH_AGENT",
        "SPEC_BENCH_MODEL",
        "SPEC_BENCH_ARTIFACTS",
    }


class TestVariables:
    def test_the_other_prefix_means_the_same(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPEC_BENCH_AGENT", "nop")
        assert read(project, "agent") == ("nop", "environment SPEC_BENCH_AGENT")

        monkeypatch.setenv("SPECBENCH_AGENT", "nop")
        assert read(project, "agent") == ("nop", "environment SPECBENCH_AGENT")

    def test_two_that_differ_are_an_error(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        project.scenario()
        for prefix, name in (("SPEC_BENCH_", "baselines"), ("SPECBENCH_", "elsewhere")):
            monkeypatch.setenv(f"{prefix}BASELINES", name)

        ran, listed = project.run(), project.specbench("report")

        assert (ran.code, listed.code) == (4, 2)
        for said in (ran.err, listed.err):
            assert "SPECBENCH_BASELINES and SPEC_BENCH_BASELINES are both set, and differ" in said

    def test_an_empty_one_is_an_error_of_every_command(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPECBENCH_BASELINES", "")

        listed = project.specbench("report")

        assert (listed.code, "SPECBENCH_BASELINES is empty" in listed.err) == (2, True)

    def test_where_warnings_are_errors_it_is_a_wrong_usage(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPECBENCH_DATASTE", "demo==1.0")
        project.scenario()

        ran = project.run("-W", "error")

        assert (ran.code, "INTERNALERROR" in ran.out + ran.err) == (4, False)
        assert "SPECBENCH_DATASTE is unknown" in ran.err

    def test_one_that_nobody_knows_is_a_warning(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPECBENCH_DATASTE", "demo==1.0")
        monkeypatch.setenv("SPECBENCH_RUNNER_BASE", "debian")
        project.scenario()
        said = "the environment variable SPECBENCH_DATASTE is unknown, and changes nothing; the nearest is "

        ran, validated = project.run(), project.specbench("validate", ".")

        assert ran.judged() == ("provisional", "verified")
        assert said + "SPECBENCH_DATASET" in ran.out
        assert validated.code == 0
        assert said + "SPECBENCH_DATASET" in validated.err
        assert "SPECBENCH_RUNNER_BASE" not in ran.out + validated.err


class TestWrongValues:
    @pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
    def test_in_the_ini_file(self, project: Project, name: str, value: str) -> None:
        project.more_ini(**{name.replace("-", "_"): value})
        project.scenario()

        ran = project.run()

        assert ran.code == 4
        assert option(name).ini in ran.err
        assert repr(value) in ran.err
        assert "Traceback" not in ran.out + ran.err

    @pytest.mark.parametrize(("name", "value"), [(name, BAD[name][0]) for name in BAD if not option(name).flag])
    def test_on_the_command_line(self, project: Project, name: str, value: str) -> None:
        project.scenario()

        ran = project.run(f"{option(name).option}={value}")

        assert ran.code == 4
        assert option(name).option in ran.err
        assert (value if option(name).choices else repr(value)) in ran.err  # of choices, argparse tells
        assert "Traceback" not in ran.out + ran.err

    def test_the_nearest_is_named(self, project: Project) -> None:
        project.more_ini(approval_mode="full_access")
        project.scenario()

        ran = project.run()

        assert "--specbench-approval-mode from ini specbench_approval_mode: got 'full_access'" in ran.err
        assert "the nearest is 'full-access'" in ran.err

    def test_with_workers_they_are_told_the_same_way(self, project: Project) -> None:
        project.more_ini(trials="0")
        project.scenario()

        ran = project.process("-n2")

        assert ran.code == 4
        assert "specbench_trials" in ran.err


class TestWhatTheyDo:
    def test_trials(self, either: Project) -> None:
        either.scenario(trials=2)

        ran = either.run("--specbench-trials=3")

        assert ran.scenario()["trials"] == 3
        assert [trial["artifacts_path"] for trial in ran.run()["trials"]] == [
            "demo/trial-01",
            "demo/trial-02",
            "demo/trial-03",
        ]
        assert ran.scenario()["metrics"]["success"]["values"] == [True, True, True]

    def test_trials_of_the_scenario(self, project: Project) -> None:
        project.scenario(trials=2)

        assert project.run().scenario()["trials"] == 2

    def test_output(self, project: Project) -> None:
        project.scenario()

        ran = project.run("--specbench-output=there/it/is")

        assert ran.code == 0
        assert (project.path / "there/it/is/latest/report.json").is_file()
        assert not (project.path / ".terminalbench").exists()

    def test_output_that_cannot_be_written_is_no_pass(self, project: Project) -> None:
        project.file("occupied", "a file\n")
        project.scenario()

        ran = project.run("--specbench-output=occupied")

        assert ran.code not in {0, 1}

    def test_agent(self, project: Project) -> None:
        project.scenario()

        ran = project.run("--specbench-agent=nop")

        assert ran.verdict() == ("regression", "artifact_missing", 1)
        assert ran.run()["trials"][0]["agent"]["name"] == "nop"

    def test_agent_from_a_module_of_the_project(self, either: Project) -> None:
        either.module("actors", LOCAL_AGENT)
        either.scenario()

        ran = either.run("--specbench-agent=actors:Actor")

        assert ran.verdict() == ("provisional", "verified", 0)
        agent = ran.run()["trials"][0]["agent"]
        assert (agent["name"], agent["version"]) == ("actors:Actor", "7.1")
        assert agent["configuration"] == {"mood": "calm"}

    @pytest.mark.parametrize("name", ["actors:Nobody", "no_such_module:Actor"])
    def test_an_agent_that_cannot_be_imported_blocks(self, project: Project, name: str) -> None:
        project.module("actors", LOCAL_AGENT)
        project.scenario()

        ran = project.run(f"--specbench-agent={name}")

        assert ran.verdict() == ("blocked", "configuration", 2)
        assert "cannot be imported" in ran.scenario()["notes"]

    def test_options_of_the_scenarios_agent_are_not_for_another(self, project: Project) -> None:
        project.file("solve.sh", "echo solved > result.txt\n")
        project.scenario(solution="solve.sh")

        assert project.run("--specbench-agent=oracle").code == 0

    def test_host_class(self, project: Project) -> None:
        project.scenario()

        ran = project.run("--specbench-host-class=ci-4core")

        host = ran.run()["fingerprint"]["host"]
        assert (host["class"], host["declared"]) == ("ci-4core", True)

    def test_max_cost_and_no_incident_stand_in_the_report(self, project: Project) -> None:
        project.scenario()
        project.maintained()

        ran = project.run("--specbench-max-cost=2.5", "--specbench-no-incident", "--specbench-allow-unisolated-model")

        settings = ran.report["settings"]
        assert settings["max_cost_usd"] == 2.5
        assert settings["no_incident"] is True
        assert settings["allow_unisolated_model"] is True
        assert settings["sources"]["max_cost_usd"] == "command line"

    def test_an_unclean_repository_blocks_unless_it_is_acknowledged(self, project: Project) -> None:
        project.more_ini(allow_dirty="")
        project.scenario()

        assert project.run().verdict() == ("blocked", "unclean_repository", 2)
        assert project.run("--specbench-allow-dirty").code == 0

    def test_a_sandbox_that_nobody_knows(self, project: Project) -> None:
        project.scenario()

        ran = project.run("--specbench-sandbox=dokcer")

        assert ran.verdict() == ("blocked", "configuration", 2)
        assert "the nearest is 'docker'" in ran.scenario()["notes"]

    def test_the_command_line_is_recorded(self, project: Project) -> None:
        project.scenario()

        ran = project.process("--specbench-trials=2")

        metadata = json.loads((ran.folder / "run_metadata.json").read_text())
        assert "--specbench-trials=2" in metadata["argv"]
        assert metadata["settings"]["trials"] == 2
        assert metadata["sources"]["trials"] == "command line"
        assert metadata["sources"]["sandbox"] == "ini specbench_sandbox"
        assert metadata["versions"]["pytest"] == pytest.__version__

    def test_the_environment_of_the_host_does_not_reach_the_agent(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("A_HOST_VARIABLE", "host")
        project.scenario(
            agent=command('test -z "$A_HOST_VARIABLE" && test "$GIVEN" = yes && echo made > result.txt'),
            environment={"GIVEN": "yes"},
        )

        assert project.run().code == 0


LOCAL_AGENT = """
from pytest_specbench.agents.base import AgentOutcome

class Actor:
    name = "actor"
    version = "7.1"
    acts_freely = False
    trusted = True

    def prepare(self, task):
        pass

    def configuration(self):
        return {"mood": "calm"}

    def run(self, task, shell, journal):
        assert shell.run("echo made > result.txt").exit_code == 0
        return AgentOutcome()
"""


@pytest.mark.parametrize(
    ("option", "given", "expected"),
    [("trials", "two", "a whole number"), ("expires", "tomorrow", "such as 20"), ("max-cost", "much", "a positive")],
)
def test_a_value_of_another_form_is_told_with_what_is_expected(option: str, given: str, expected: str) -> None:
    (parse,) = [one.parse for one in OPTIONS if one.name == option]
    with pytest.raises(ValueError, match=expected):
        parse(given)


def test_a_number_in_tool_pytest_is_told_as_what_to_write(project: Project) -> None:
    (project.path / "pytest.ini").unlink()
    project.file("pyproject.toml", "[tool.pytest]\nspecbench_trials = 2\n")
    project.scenario()
    ran = project.process()
    assert ran.code == 4
    assert "--specbench-trials from ini specbench_trials: " in ran.err
    assert "; expected a text in quotation marks" in ran.err
    assert "Traceback" not in ran.out + ran.err


def test_a_sandbox_that_nobody_has_is_told_all_names(project: Project) -> None:
    project.scenario()
    assert "one of auto, docker, local" in project.run("--specbench-sandbox=podman").scenario()["notes"]
