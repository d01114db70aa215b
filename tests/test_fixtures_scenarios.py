"""The fixtures `specbench` and `specbench_sandbox`, in ordinary tests of a user."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from parity_support import approve, git
from scenario_files import Project, command, counted, living_with

RUNS = """
def test_it(specbench):
    run = specbench("demo.scenario.yaml")
    assert (run.status, run.cause) == {expected!r}
"""

SANDBOX = """
import pathlib, pytest

@pytest.mark.specbench_scenario("demo.scenario.yaml")
def test_it(specbench_sandbox):
    pathlib.Path({told!r}).write_text(specbench_sandbox.workdir)
    result = specbench_sandbox.exec(["cat", "given.txt"], timeout_sec=60)
    assert (result.exit_code, result.output) == (0, b"given\\n")
    {last}
"""


@pytest.fixture
def demo(project: Project) -> Project:
    """A project whose scenario has a fixture of its own."""
    project.file("data/given.txt", "given\n")
    project.scenario(fixtures={"given": {"type": "files", "source": "data"}}, prerequisites=["given"])
    return project


def sandbox_test(project: Project, last: str = "pass") -> Path:
    """Write a test that works in the sandbox; return the file in which it tells where that was."""
    told = project.path.parent / f"{project.path.name}-told"
    project.file("test_in_sandbox.py", SANDBOX.format(told=str(told), last=last))
    return told


class TestSpecbench:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, ("provisional", "verified")),
            ({"agent": {"name": "nop"}}, ("regression", "artifact_missing")),
            ({"agent": {"name": "unheard-of"}}, ("blocked", "configuration")),
        ],
        ids=["provisional", "regression", "blocked"],
    )
    def test_the_test_alone_decides_what_it_makes_of_the_status(
        self, project: Project, changes: dict[str, Any], expected: tuple[str, str]
    ) -> None:
        project.scenario(**changes)
        project.file("test_own.py", RUNS.format(expected=expected))

        ran = project.run("test_own.py")

        assert ran.code == 0
        assert counted(ran.out) == {"passed": 1}

    def test_its_verdict_is_the_tests_own_failure(self, project: Project) -> None:
        project.scenario(agent={"name": "nop"})
        project.file("test_own.py", RUNS.format(expected=("pass", "verified")))

        ran = project.run("test_own.py")

        assert ran.code == 1
        assert counted(ran.out) == {"failed": 1}

    def test_it_is_compared_with_the_baseline_under_the_lock(self, demo: Project) -> None:
        demo.run("--specbench-lock", "demo.scenario.yaml")
        approve(demo, demo.run("demo.scenario.yaml"))
        demo.file("test_own.py", RUNS.format(expected=("pass", "verified")))
        assert demo.run("test_own.py").code == 0
        demo.file("data/given.txt", "edited\n")
        demo.file("test_own.py", RUNS.format(expected=("blocked", "parity")))

        assert demo.run("test_own.py").code == 0

    def test_the_artifacts_lie_in_the_run_folder_of_the_session(self, either: Project) -> None:
        either.scenario()
        either.file("test_own.py", RUNS.format(expected=("provisional", "verified")))

        assert either.run("test_own.py").code == 0

        folders = list((either.path / ".terminalbench" / "runs").iterdir())
        assert len(folders) == 1
        run = json.loads((folders[0] / "demo" / "run.json").read_text())
        assert run["run_id"][:8] == folders[0].name[-8:]
        assert (folders[0] / "demo" / "trial-01" / "agent.cast").exists()

    def test_two_tests_of_one_scenario_leave_two_records(self, project: Project) -> None:
        project.scenario()
        text = RUNS.format(expected=("provisional", "verified"))
        project.file("test_own.py", text + text.replace("test_it", "test_it_again"))

        assert project.run("test_own.py").code == 0
        assert len(list((project.path / ".terminalbench").rglob("run.json"))) == 2

    @pytest.mark.parametrize("place", ["beside the test", "below rootdir"])
    def test_where_the_file_is_looked_for(self, project: Project, place: str) -> None:
        project.scenario(file="tests/demo.scenario.yaml" if place == "beside the test" else "demo.scenario.yaml")
        project.file("tests/test_own.py", RUNS.format(expected=("provisional", "verified")))

        assert project.run("tests/test_own.py").code == 0

    def test_an_invalid_file_is_told_with_its_line(self, project: Project) -> None:
        project.scenario(trials=0)
        project.file("test_own.py", RUNS.format(expected=("provisional", "verified")))

        ran = project.run("test_own.py")

        assert ran.code == 1
        assert "demo.scenario.yaml:" in ran.out
        assert "trials" in ran.out

    def test_an_unclean_repository_blocks_it_too(self, project: Project) -> None:
        project.more_ini(allow_dirty="")
        git(project.path, "init", "-q")
        project.scenario()
        project.file("test_own.py", RUNS.format(expected=("blocked", "unclean_repository")))

        assert project.run("test_own.py").code == 0

    def test_beside_scenario_items_its_run_is_not_in_the_report(self, project: Project) -> None:
        """The report is about the items; what a test made of its run, the test says."""
        project.scenario()
        project.scenario("bad", file="own/bad.scenario.yaml", agent={"name": "nop"})
        project.file(
            "test_own.py", "def test_it(specbench): assert specbench('own/bad.scenario.yaml').status == 'regression'\n"
        )

        ran = project.run("test_own.py", "demo.scenario.yaml")

        assert ran.code == 0
        assert [row["scenario_id"] for row in ran.report["scenarios"]] == ["demo"]

    def test_a_session_that_does_not_use_it_makes_nothing(self, project: Project) -> None:
        project.file("test_plain.py", "def test_one(): pass\n")

        assert project.run("test_plain.py").code == 0
        assert not (project.path / ".terminalbench").exists()

    def test_both_are_listed_with_what_they_are_for(self, project: Project) -> None:
        out = project.run("--fixtures").out

        for name, purpose in {
            "specbench": "Run a scenario file through the gate",
            "specbench_sandbox": "A running sandbox of the scenario",
        }.items():
            assert re.search(rf"(?m)^{name}\b", out)
            assert purpose in out
        assert "specbench_scenario(file)" in project.run("--markers").out


class TestSandbox:
    def test_it_has_the_fixtures_of_the_scenario(self, demo: Project) -> None:
        told = sandbox_test(demo)

        ran = demo.run("test_in_sandbox.py")

        assert ran.code == 0
        assert not Path(told.read_text()).exists()

    @pytest.mark.parametrize("last", ["assert False", "raise KeyboardInterrupt", "pytest.exit('enough')"])
    def test_it_is_gone_however_the_test_ends(self, demo: Project, last: str) -> None:
        told = sandbox_test(demo, last)

        assert demo.process("test_in_sandbox.py").code != 0

        assert not Path(told.read_text()).exists()

    def test_what_runs_in_it_is_gone_too(self, demo: Project) -> None:
        mark = f"{os.getpid()}.5172"
        sandbox_test(
            demo,
            f"specbench_sandbox.exec(['sh', '-c', 'sleep {mark} >/dev/null 2>&1 &'], timeout_sec=60); assert False",
        )

        assert demo.run("test_in_sandbox.py").code == 1
        assert living_with(mark) == []

    def test_drift_is_an_error_of_the_set_up(self, demo: Project) -> None:
        demo.run("--specbench-lock", "demo.scenario.yaml")
        demo.file("data/given.txt", "edited\n")
        told = sandbox_test(demo)

        ran = demo.run("test_in_sandbox.py")

        assert ran.code == 1
        assert counted(ran.out) == {"errors": 1}
        assert "+ fixture.given.content: sha256:" in ran.out
        assert "Traceback" not in ran.out
        assert not told.exists()

    def test_so_are_a_missing_engine_and_an_unclean_repository(
        self, demo: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
        sandbox_test(demo)

        ran = demo.run("test_in_sandbox.py", "--specbench-sandbox=docker")

        assert "no Docker engine answers" in ran.out
        assert counted(ran.out) == {"errors": 1}
        demo.more_ini(allow_dirty="")
        ran = demo.run("test_in_sandbox.py")
        assert "there is no git repository" in ran.out
        assert counted(ran.out) == {"errors": 1}

    def test_a_fixture_that_cannot_be_put_in_place(self, demo: Project) -> None:
        demo.scenario(fixtures={"given": {"type": "files", "source": "gone"}}, prerequisites=["given"])
        sandbox_test(demo)

        ran = demo.run("test_in_sandbox.py")

        assert counted(ran.out) == {"errors": 1}
        assert "'gone'" in ran.out

    @pytest.mark.parametrize(
        "mark", ["", "@pytest.mark.specbench_scenario", "@pytest.mark.specbench_scenario('a', 'b')"]
    )
    def test_without_the_name_of_a_scenario_it_says_what_it_needs(self, project: Project, mark: str) -> None:
        project.file("test_own.py", f"import pytest\n{mark}\ndef test_it(specbench_sandbox): pass\n")

        ran = project.run("test_own.py")

        assert counted(ran.out) == {"errors": 1}
        assert "specbench_sandbox needs @pytest.mark.specbench_scenario('FILE.scenario.yaml') on the test" in ran.out

    def test_a_file_that_is_not_there(self, project: Project) -> None:
        project.file(
            "test_own.py",
            "import pytest\n@pytest.mark.specbench_scenario('nowhere.scenario.yaml')\n"
            "def test_it(specbench_sandbox): pass\n",
        )

        ran = project.run("test_own.py")

        assert counted(ran.out) == {"errors": 1}
        assert "nowhere.scenario.yaml" in ran.out

    def test_a_mark_on_the_module_serves_every_test_in_it(self, demo: Project) -> None:
        demo.file(
            "test_own.py",
            "import pytest\npytestmark = pytest.mark.specbench_scenario('demo.scenario.yaml')\n"
            "def test_one(specbench_sandbox): specbench_sandbox.exec(['touch', 'mine'], timeout_sec=60)\n"
            "def test_two(specbench_sandbox):\n"
            "    assert specbench_sandbox.exec(['test', '-e', 'mine'], timeout_sec=60).exit_code == 1\n",
        )

        assert demo.run("test_own.py").code == 0


@pytest.mark.docker
class TestInDocker:
    @pytest.fixture
    def scenario_id(self, demo: Project, runner_image: str) -> str:
        """The id of the scenario in `demo.scenario.yaml`, which nobody else on this engine has."""
        scenario_id = f"demo-{uuid4().hex[:12]}"
        given = {"given": {"type": "files", "source": "data"}}
        demo.scenario(
            scenario_id,
            file="demo.scenario.yaml",
            fixtures=given,
            prerequisites=["given"],
            agent=command("cp given.txt result.txt"),
        )
        return scenario_id

    def test_a_scenario_and_its_sandbox(self, demo: Project, engine: Any, scenario_id: str) -> None:
        demo.file("test_own.py", RUNS.format(expected=("provisional", "verified")))
        told = sandbox_test(demo, "assert specbench_sandbox.record().enforced['network']")

        ran = demo.run("test_own.py", "test_in_sandbox.py", "--specbench-sandbox=docker")

        assert ran.code == 0
        assert told.read_text() == "/work"
        assert containers(engine, scenario_id) == []

    def test_it_is_gone_when_the_test_fails(self, demo: Project, engine: Any, scenario_id: str) -> None:
        sandbox_test(demo, "assert not 'this holds'")

        ran = demo.run("test_in_sandbox.py", "--specbench-sandbox=docker")

        assert ran.code == 1
        assert counted(ran.out) == {"failed": 1}
        assert "this holds" in ran.out
        assert containers(engine, scenario_id) == []

    def test_an_image_that_is_missing_is_an_error_of_the_set_up(self, demo: Project, engine: Any) -> None:
        demo.scenario(runner={"image": "specbench-nobody-has-this:1"})
        sandbox_test(demo)

        ran = demo.run("test_in_sandbox.py", "--specbench-sandbox=docker")

        assert counted(ran.out) == {"errors": 1}
        assert "docker pull specbench-nobody-has-this:1" in ran.out


def containers(engine: Any, scenario_id: str) -> list[str]:
    """Containers of the scenario that are there, running or not."""
    found = engine.containers.list(all=True, filters={"label": f"org.specbench.scenario={scenario_id}"})
    return [container.name for container in found]
