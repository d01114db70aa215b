"""`pytest --specbench-approve`: the selected scenarios' recorded run becomes their baseline, and nothing runs."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from approval_support import as_made_once, entries, maintained, passes, record
from scenario_files import Project


@pytest.fixture
def kept(either: Project, templates: Path) -> Project:
    """A maintained project with two scenarios, each of which passed three times; with and without workers."""

    def make() -> None:
        either.scenario()
        either.scenario("other")
        either.file("test_plain.py", "def test_plain():\n    open('ran', 'w').close()\n")
        maintained(either)
        passes(either, 3, "demo.scenario.yaml", "other.scenario.yaml")

    return as_made_once(either, templates, f"with {either.workers} workers", make)


def test_every_selected_scenario_is_approved_and_nothing_runs(kept: Project) -> None:
    runs = len([*kept.path.glob(".terminalbench/runs/*")])

    ran = kept.run("--specbench-approve", "--specbench-run=latest", "--specbench-notes=all well")

    assert ran.code == 0, ran.out
    assert {entry["scenario_id"]: entry["reason"] for entry in entries(kept)} == {
        "demo": "all well",
        "other": "all well",
    }
    assert f"approved {record(kept)['baseline_id']}" in ran.out
    assert len([*kept.path.glob(".terminalbench/runs/*")]) == runs
    assert not (kept.path / "ran").exists()


def test_k_selects(kept: Project) -> None:
    ran = kept.run("--specbench-approve", "--specbench-run=latest", "-k", "other")

    assert ran.code == 0, ran.out
    assert [entry["scenario_id"] for entry in entries(kept)] == ["other"]


def test_what_is_refused_ends_with_4_and_says_why(kept: Project) -> None:
    kept.run("--specbench-approve")

    again = kept.run("--specbench-approve", "--junitxml=junit.xml")

    assert again.code == 4
    assert again.out.count("approved already") >= 2
    assert "Traceback" not in again.out
    failures = ET.parse(kept.path / "junit.xml").getroot().iter("failure")
    assert len([*failures]) == 2


def test_one_that_is_refused_does_not_stop_the_other(kept: Project) -> None:
    kept.run("--specbench-approve", "-k", "demo")

    assert kept.run("--specbench-approve").code == 4

    assert sorted(entry["scenario_id"] for entry in entries(kept)) == ["demo", "other"]


def test_a_run_from_elsewhere_is_imported_first(kept: Project) -> None:
    elsewhere = shutil.make_archive(str(kept.path.parent / "artifact"), "zip", kept.path / ".terminalbench" / "runs")
    shutil.rmtree(kept.path / ".terminalbench")

    ran = kept.run("--specbench-approve", f"--specbench-run={elsewhere}")

    assert ran.code == 0, ran.out
    assert sorted(entry["scenario_id"] for entry in entries(kept)) == ["demo", "other"]


def test_a_dry_run_writes_nothing(kept: Project) -> None:
    ran = kept.run("--specbench-approve", "--specbench-dry-run")

    assert ran.code == 0, ran.out
    assert ran.out.count("would be approved") >= 2
    assert entries(kept) == []
