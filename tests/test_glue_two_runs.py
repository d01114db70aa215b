"""Two runs at the same time in one checkout do not disturb each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scenario_files import LEAN, command, counted

from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.status import Cause, Status
from pytest_specbench.reporting.report import Report

if TYPE_CHECKING:
    from scenario_files import Project

NAMES = ("first", "second")
MEETING = """
touch "$MEETING/$$"
n=0
while [ "$(ls "$MEETING" | wc -l)" -lt 2 ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n+1)); done
[ $n -lt 600 ] && echo made > result.txt
"""
"""An agent that is done once another one has begun: that of the other run."""


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *LEAN, "-p", "no:cacheprovider", *arguments],
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> str:
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, output
    return output


@pytest.fixture(params=[(), ("-n2",)], ids=["no xdist", "one with n2"])
def both(request: pytest.FixtureRequest, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which two runs of the same scenarios went on at the same time, and both were content."""
    for name in NAMES:
        meeting = tmp_path_factory.mktemp(f"meeting-{name}")
        project.scenario(name, agent=command(MEETING), environment={"MEETING": str(meeting)})
    running = [start(project), start(project, *request.param)]
    outputs = [end(process) for process in running]
    assert [counted(output) for output in outputs] == [{"provisional": 2}] * 2
    return project


def test_each_leaves_a_whole_run_of_its_own(both: Project) -> None:
    """A folder with valid records each; `latest` points to one of them; nothing in between is left."""
    root = both.path / ".terminalbench"
    folders = sorted((root / "runs").iterdir())
    ids = set()
    for folder in folders:
        report, runs = records(folder)
        assert {run.run_id for run in runs} == {report.run_id}
        assert [(run.status, run.cause) for run in runs] == [(Status.PROVISIONAL, Cause.VERIFIED)] * 2
        assert all((folder / name / "trial-01" / "atif" / "trajectory.json").is_file() for name in NAMES)
        ids.add(report.run_id)
    assert len(folders) == len(ids) == 2
    assert (root / "latest").resolve(strict=True) in folders
    assert [*(root / "progress").rglob("*.json"), *root.rglob("*.tmp")] == []


def records(folder: Path) -> tuple[Report, list[BenchmarkRun]]:
    """The report and the scenarios' records, read back through their models."""
    report = Report.model_validate_json((folder / "report.json").read_text("utf-8"))
    runs = [BenchmarkRun.model_validate_json((folder / name / "run.json").read_text("utf-8")) for name in NAMES]
    return report, runs
