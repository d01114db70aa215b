"""A run that is stopped by a person or by a CI service: nothing is left running, and the report says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scenario_files import LEAN, Project, Ran, command, living_with


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
