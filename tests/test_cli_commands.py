"""The command line: `specbench run | validate | init | runner build`, and errors without a traceback."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from scenario_files import Project, command

from pytest_specbench.reporting.schemas import shipped_schema


def benchmarks(project: Project) -> None:
    """Two scenarios in the folder where `run` looks for them."""
    project.scenario("good", file="benchmarks/good.scenario.yaml")
    project.scenario("bad", file="benchmarks/bad.scenario.yaml", agent=command("exit 1"))


SPECBENCH = (sys.executable, "-m", "pytest_specbench")


def in_folder(folder: Path, *arguments: str) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class TestRun:
    @pytest.mark.parametrize("module", [True, False], ids=["python -m pytest_specbench", "specbench"])
    def test_the_inputs_of_the_contract(self, project: Project, module: bool) -> None:
        benchmarks(project)
        project.maintained()

        ran = project.specbench(
            "run", "--scenarios", "good", "--dataset", "suite==1.0", "--output", ".terminalbench", "--format", "json",
            "--agent", "command", "--no-incident", "--allow-dirty",
            module=module,
        )  # fmt: skip

        report = json.loads(ran.out)
        jsonschema.validate(report, shipped_schema("report.schema.json"))
        assert ran.code == 0
        assert report == ran.report
        assert [row["scenario_id"] for row in report["scenarios"]] == ["good"]
        assert report["dataset"] == "suite==1.0"
        assert report["settings"]["no_incident"] is True

    def test_without_paths_it_runs_the_folder_benchmarks(self, project: Project) -> None:
        benchmarks(project)
        project.scenario("outside")

        ran = project.specbench("run")

        assert ran.code == 1
        assert {row["scenario_id"] for row in ran.report["scenarios"]} == {"good", "bad"}
        assert "specbench: exit 1: 1 failed: bad (agent crashed)" in ran.out
        assert "PytestAssertRewriteWarning" not in ran.out

    @pytest.mark.parametrize(
        ("arguments", "code"), [(["--scenarios", "good"], 0), (["--scenarios", "bad"], 1), (["--agent", "unknown"], 2)]
    )
    def test_the_exit_codes_of_the_contract(self, project: Project, arguments: list[str], code: int) -> None:
        benchmarks(project)

        ran = project.specbench("run", *arguments)

        assert ran.code == code
        if code == 2:
            assert "no agent is called 'unknown'" in ran.err

    @pytest.mark.parametrize("rest", [["-n", "2"], ["-k", "good or bad", "-v"], ["-x", "--maxfail", "2"]])
    def test_what_follows_two_dashes_is_pytests(self, project: Project, rest: list[str]) -> None:
        benchmarks(project)

        ran = project.specbench("run", "benchmarks/bad.scenario.yaml", "--", *rest)

        assert ran.code == 1
        assert [row["scenario_id"] for row in ran.report["scenarios"]] == ["bad"]

    def test_model_and_approval_mode(self, project: Project) -> None:
        benchmarks(project)

        ran = project.specbench("run", "--scenarios=good", "--approval-mode=trusted", "--model", "replay:none.yaml")

        assert ran.code == 2
        assert ran.report["settings"]["approval_mode"] == "trusted"
        assert ran.report["settings"]["model"] == "replay:none.yaml"

    def test_a_wrong_choice_is_refused_with_the_right_ones(self, project: Project) -> None:
        ran = project.specbench("run", "--format", "yaml")

        assert ran.code == 2
        said = ran.err.splitlines()[-1]
        assert all(word in said for word in ("--format", "yaml", "table", "json"))
        assert "Traceback" not in ran.err

    def test_a_folder_that_is_not_there(self, project: Project) -> None:
        ran = project.specbench("run")

        assert ran.code != 0
        assert "benchmarks" in ran.err
        assert "Traceback" not in ran.out + ran.err


class TestValidate:
    def test_valid_files(self, project: Project) -> None:
        benchmarks(project)

        ran = project.specbench("validate", "benchmarks")

        assert (ran.code, ran.out) == (0, "2 of 2 scenario files are valid")
        assert not (project.path / ".terminalbench").exists()

    def test_every_problem_is_told_with_its_place(self, project: Project) -> None:
        benchmarks(project)
        project.scenario("one", file="benchmarks/one.scenario.yaml", trials=0, owner_rotaton="x")
        project.scenario("good", file="benchmarks/twin.scenario.yaml")

        ran = project.specbench("validate", "benchmarks")

        assert ran.code == 1
        assert "one.scenario.yaml:" in ran.err
        assert "trials" in ran.err
        assert "owner_rotation" in ran.err
        assert "the id 'good' is taken by" in ran.err
        assert ran.out == "3 of 4 scenario files are valid"
        assert "Traceback" not in ran.err

    def test_agents_options_and_ids_that_there_are_not(self, project: Project) -> None:
        project.scenario("one", agent={"name": "oracel"})
        project.scenario("two", agent=command("true") | {"options": {"command": "true", "shell": "zsh"}})
        project.scenario("three", agent={"name": "no_such_module:Agent"})
        project.registry({"task_id_subset": ["one", "two"]})

        ran = project.specbench("validate", ".")

        assert (ran.code, ran.out) == (1, "0 of 3 scenario files are valid")
        assert "the nearest is 'oracle'" in ran.err
        assert "the agent 'command' has no option 'shell'" in ran.err
        assert "does not list the scenario 'three'" in ran.err
        assert "Traceback" not in ran.err

    @pytest.mark.parametrize("path", ["nowhere", "pytest.ini", "empty"])
    def test_nothing_to_check_is_an_error(self, project: Project, path: str) -> None:
        (project.path / "empty").mkdir()

        ran = project.specbench("validate", path)

        assert ran.code != 0
        assert path in ran.err
        assert "Traceback" not in ran.err


class TestStdout:
    @pytest.mark.parametrize(("arguments", "unbuffered"), [("init", ""), ("init", "1"), ("run", "")])
    def test_that_nobody_reads_any_more_is_no_traceback(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, arguments: str, unbuffered: str
    ) -> None:
        monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
        reading, writing = os.pipe()
        os.close(reading)

        done = subprocess.run([*SPECBENCH, arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)

        assert done.returncode == 141
        assert "Exception ignored" not in done.stderr
        # pytest tells of its own what it could not print
        assert arguments == "run" or done.stderr == ""

    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_that_is_full_is_told(self, project: Project, monkeypatch: pytest.MonkeyPatch, unbuffered: str) -> None:
        monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
        with Path("/dev/full").open("w") as full:
            done = subprocess.run([*SPECBENCH, "init"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)

        assert done.returncode == 2
        assert done.stderr.splitlines() == [f"specbench: {os.strerror(errno.ENOSPC)}"]


class TestInit:
    def test_what_it_writes_is_valid_and_runs(self, tmp_path: Path) -> None:
        who = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")
        in_folder(tmp_path, "git", "init", "--quiet")

        in_folder(tmp_path, *SPECBENCH, "init")
        in_folder(tmp_path, *SPECBENCH, "validate", "benchmarks")
        in_folder(tmp_path, "git", "add", "--all")
        in_folder(tmp_path, "git", *who, "commit", "--quiet", "-m", "A first scenario")
        in_folder(
            tmp_path, *SPECBENCH, "run", "--sandbox=local", "--approval-mode=full-access",
            "--dataset=benchmarks==0.1.0",
        )  # fmt: skip

        report = json.loads((tmp_path / ".terminalbench/latest/report.json").read_text())
        assert [(row["scenario_id"], row["status"]) for row in report["scenarios"]] == [("hello", "provisional")]

    def test_its_verifier_can_say_no(self, project: Project) -> None:
        project.specbench("init")

        ran = project.run("benchmarks", "--specbench-agent=nop")

        assert ran.verdict("hello") == ("regression", "artifact_missing", 1)

    def test_a_second_time_it_writes_nothing(self, project: Project) -> None:
        project.specbench("init")
        path = project.path / "benchmarks" / "hello.scenario.yaml"
        path.write_text("mine\n")

        ran = project.specbench("init")

        assert ran.code == 2
        assert "nothing was written" in ran.err
        assert "Traceback" not in ran.err
        assert path.read_text() == "mine\n"


class TestRunnerBuild:
    @pytest.mark.docker
    def test_it_prints_name_and_identity(self, project: Project, engine: Any, runner_image: str) -> None:
        tag = "specbench-test-of-the-command:1"
        try:
            ran = project.specbench("runner", "build", "--tag", tag)

            assert ran.code == 0
            assert ran.out.startswith(f"{tag}: ")
            assert "sha256:" in ran.out
        finally:
            engine.images.remove(tag)

    @pytest.mark.docker
    def test_a_base_that_nobody_has(self, project: Project, engine: Any) -> None:
        ran = project.specbench(
            "runner", "build", "--base", "localhost:1/nobody/has-this:1", "--tag", "specbench-never:1"
        )

        assert ran.code == 2
        assert "building the runner image on localhost:1/nobody/has-this:1 failed" in ran.err
        assert "Traceback" not in ran.err

    def test_without_an_engine(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")

        ran = project.specbench("runner", "build")

        assert ran.code == 2
        assert ran.err.startswith("specbench: ")
        assert "Traceback" not in ran.err


def test_help_and_version(project: Project) -> None:
    assert "COMMAND" in project.specbench("--help").out
    assert project.specbench("--version").out.startswith("pytest-specbench ")
    nothing = project.specbench()
    assert nothing.code == 2
    assert "Traceback" not in nothing.err


def test_the_script_is_installed_beside_the_interpreter() -> None:
    assert Path(sys.executable).with_name("specbench").is_file()
