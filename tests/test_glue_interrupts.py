"""A run that is stopped by a person or by a CI service: nothing is left running, and the report says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scenario_files import LEAN, Project, Ran, command, living_with

from pytest_specbench.recording.atif import check_trajectory


def interrupted(project: Project, signals: int, *arguments: str) -> Ran:
    """Run pytest, and signal it when the agent says that it is at work, through a named pipe beside the project."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *LEAN, "-p", "no:cacheprovider", *arguments],
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    started(project)
    os.kill(process.pid, signals)
    out, err = process.communicate(timeout=60)
    return Ran(process.returncode, out, err, project.path / ".terminalbench")


def started(project: Project) -> None:
    """Return when the agent writes into the pipe: opening it waits for that."""
    assert (project.path / "started").read_text() == "at work\n"


@pytest.fixture
def pipe(project: Project) -> Path:
    """The named pipe by which the agent of a local sandbox says that it is at work."""
    os.mkfifo(project.path / "started")
    return project.path / "started"


class TestKeyboardInterrupt:
    def test_the_agent_dies_and_the_report_says_interrupted(self, project: Project, pipe: Path) -> None:
        project.scenario(agent=command(f"echo at work > {pipe}; sleep 87654"))

        ran = interrupted(project, signal.SIGINT)

        assert ran.code == 2
        assert ran.report["interrupted"] is True
        assert ran.report["exit_code"] == 2
        assert ran.report["exit_reason"].startswith("interrupted before every scenario had its verdict")
        assert living_with("sleep 87654") == []

    @pytest.mark.parametrize("workers", [(), ("-n2", "--specbench-sandbox=local")])
    def test_sigterm_is_an_interruption_too(self, project: Project, pipe: Path, workers: tuple[str, ...]) -> None:
        project.scenario(agent=command(f"echo at work > {pipe}; sleep 87651"))

        ran = interrupted(project, signal.SIGTERM, *workers)

        assert (ran.code, ran.report["interrupted"]) == (2, True)
        assert ran.judged() == ("blocked", "interrupted")
        assert living_with("sleep 87651") == []

    def test_the_trial_that_was_cut_short_is_complete_as_far_as_it_got(self, project: Project, pipe: Path) -> None:
        project.scenario(agent=command(f"echo at work > {pipe}; sleep 87650"))

        ran = interrupted(project, signal.SIGINT)

        assert check_trajectory(ran.trial() / "atif" / "trajectory.json") == []
        assert json.loads((ran.trial() / "summary.json").read_bytes())["cause"] == "interrupted"
        assert ran.run()["trials"][0]["cause"] == "interrupted"

    def test_what_was_finished_before_stays_and_what_was_known_is_there(self, project: Project, pipe: Path) -> None:
        project.scenario("a-done")
        project.scenario("b-cut", agent=command(f"echo seen; echo at work > {pipe}; sleep 87653"))
        project.scenario("c-never")

        ran = interrupted(project, signal.SIGINT)

        assert ran.code == 2
        assert ran.judged("a-done") == ("provisional", "verified")
        assert "c-never" not in [row["scenario_id"] for row in ran.report["scenarios"]]
        assert "seen" in (ran.trial("b-cut") / "agent.cast").read_text()
        assert (ran.trial("b-cut") / "run_metadata.json").is_file()

    def test_with_workers(self, project: Project, pipe: Path) -> None:
        project.scenario(agent=command(f"echo at work > {pipe}; sleep 87652"))

        # With an option of ours the controller is ready from the start, not busy with imports when the signal comes.
        ran = interrupted(project, signal.SIGINT, "-n2", "--specbench-sandbox=local")

        assert ran.code == 2
        assert living_with("sleep 87652") == []

    @pytest.mark.docker
    def test_the_container_is_gone(self, project: Project, pipe: Path, engine: Any, runner_image: str) -> None:
        # The engine tells when the agent is at work.
        project.scenario("cut-short-in-a-container", agent=command("sleep 87651"))
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *LEAN, "-p", "no:cacheprovider", "--specbench-sandbox=docker"],
            cwd=project.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wanted = {
            "type": "container",
            "event": "exec_start",
            "label": "org.specbench.scenario=cut-short-in-a-container",
        }
        for event in engine.events(decode=True, filters=wanted):
            if "sleep 87651" in event["Action"]:
                os.kill(process.pid, signal.SIGINT)
                break
        process.communicate(timeout=60)

        assert process.returncode == 2
        left = engine.containers.list(all=True, filters={"label": "org.specbench.scenario=cut-short-in-a-container"})
        assert [container.name for container in left] == []
        assert living_with("sleep 87651") == []


@pytest.mark.usefixtures("own_temporary_folder")
class TestKilled:
    """`kill -9` leaves no chance to clean up: the next run does, or `specbench gc`."""

    def test_a_local_sandbox_is_left_alone_while_its_owner_lives_and_removed_after(
        self, project: Project, pipe: Path
    ) -> None:
        project.scenario(agent=command(f"pwd > {project.path}/where; echo at work > {pipe}; sleep 87649"))
        process = self.running(project)
        folder = Path((project.path / "where").read_text().strip()).parent

        assert project.specbench("gc").code == 0
        assert living_with("sleep 87649") != []
        process.kill()
        process.wait(timeout=30)
        swept = project.specbench("gc")

        assert f"removed folder {folder}" in swept.out
        assert living_with("sleep 87649") == []
        assert not folder.exists()

    def test_nothing_that_was_half_written_is_read_as_good(self, project: Project, pipe: Path) -> None:
        project.scenario(agent=command(f"echo at work > {pipe}; sleep 87648"))
        process = self.running(project)
        process.kill()
        process.wait(timeout=30)

        assert not [*project.path.glob(".terminalbench/runs/*/report.json")]
        assert not [*project.path.glob(".terminalbench/runs/*/demo/run.json")]
        assert not (project.path / ".terminalbench" / "latest").exists()
        project.specbench("gc")

    @pytest.mark.docker
    def test_the_next_run_removes_the_container(self, project: Project, engine: Any, runner_image: str) -> None:
        project.scenario(agent=command("echo at work; sleep 87647"))
        project.scenario("next", agent={"name": "nop"}, success_artifacts=[], verification={"command": "true"})
        # Other tests share the engine, and their runs sweep it too: the container is known by its id, not by a label.
        events = engine.events(decode=True, filters={"type": "container", "event": "exec_start"})
        process = self.start(project, "-k", "demo", "--specbench-sandbox=docker")
        left = next(event["id"] for event in events if "87647" in event["Action"])
        process.kill()
        process.wait(timeout=30)

        project.run("-k", "next", "--specbench-sandbox=docker")

        assert left not in [each.id for each in engine.containers.list(all=True)]

    def running(self, project: Project) -> subprocess.Popen[bytes]:
        process = self.start(project)
        started(project)
        return process

    def start(self, project: Project, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *LEAN, "-p", "no:cacheprovider", *arguments],
            cwd=project.path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
