"""The document on artifacts against a real run: what it names is there, and what is there is named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from asciinema import asciicast

from pytest_specbench.recording.atif import check_trajectory
from pytest_specbench.scenarios.scaffold import write_scaffold

DOCUMENT = Path(__file__).parent.parent / "docs" / "artifacts.md"


def files_below(heading: str) -> list[str]:
    """First column of the table below a heading."""
    text = DOCUMENT.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


@pytest.fixture
def root(pytester: pytest.Pytester) -> Path:
    """The artifact root of a run of the scaffold's scenario."""
    write_scaffold(pytester.path)
    result = pytester.runpytest_subprocess(
        "benchmarks", "--specbench-sandbox=local", "--specbench-approval-mode=full-access", "--specbench-allow-dirty"
    )
    assert result.ret == 0
    return pytester.path / ".terminalbench"


def named_in(root: Path, heading: str) -> list[str]:
    """The files of the document with the names of this run."""
    run = (root / "latest").resolve().name
    return [name.replace("RUN", run).replace("SCENARIO", "hello") for name in files_below(heading)]


def test_every_file_that_is_named_is_left_by_a_run(root: Path) -> None:
    named = named_in(root, "What every run leaves")
    assert len(named) > 10
    assert [name for name in named if not (root / name).exists()] == []


def test_every_file_that_a_run_leaves_is_named(root: Path) -> None:
    named = named_in(root, "What every run leaves")
    left = [path.relative_to(root).as_posix() for path in (root / "runs").rglob("*") if not path.is_dir()]
    folders = tuple(name for name in named if name.endswith("/"))
    assert [name for name in left if name not in named and not name.startswith(folders)] == []


def test_what_only_some_runs_leave_is_not_left_by_this_one(root: Path) -> None:
    named = named_in(root, "What only some runs leave")
    assert named
    assert [name for name in named if (root / name).exists()] == []


def test_the_recording_plays(root: Path) -> None:
    """asciinema's own reader takes it; `play` itself would wait for a terminal."""
    with asciicast.open_from_url(str(root / "latest/hello/trial-01/agent.cast")) as cast:
        shown = "".join(text for _, kind, text in cast.events() if kind == "o")
    assert "hello.txt" in shown


def test_the_trajectory_is_valid_and_the_reports_name_each_other(root: Path) -> None:
    trajectory = json.loads((root / "latest/hello/trial-01/atif/trajectory.json").read_text("utf-8"))
    assert check_trajectory(trajectory) == []
    report = json.loads((root / "latest/report.json").read_text("utf-8"))
    paths = [path for path in report["scenarios"][0]["artifacts"].values() if path]
    assert [path for path in paths if not (root / "latest" / path).is_file()] == []
