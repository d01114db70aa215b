"""`specbench validate --strict` and `specbench baseline verify`: what a pull request is held against without a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from approval_support import BEN, MARA, approved, as_made_once, maintained, passes, record
from parity_support import commit, git
from scenario_files import Project


@pytest.fixture
def governed(project: Project, templates: Path) -> Project:
    """A project in which everything is in order."""

    def make() -> None:
        project.scenario()
        maintained(project)
        assert project.specbench("lock", ".", "--sandbox", "local").code == 0
        commit(project)
        passes(project, 3)
        approved(project)
        commit(project)

    return as_made_once(project, templates, "governed", make)


def strict(project: Project, *arguments: str) -> tuple[int, str]:
    ran = project.specbench("validate", ".", "--strict", *arguments)
    assert "Traceback" not in ran.err
    return ran.code, ran.out + ran.err


def test_everything_in_order(governed: Project) -> None:
    code, said = strict(governed)

    assert code == 0
    assert "in order" in said
    assert governed.specbench("baseline", "verify").code == 0


def test_without_strict_only_the_files_are_looked_at(project: Project) -> None:
    project.scenario()

    assert project.specbench("validate", ".").code == 0


def test_a_scenario_without_a_lock_entry(governed: Project) -> None:
    (governed.path / "specbench.lock").unlink()

    code, said = strict(governed)

    assert code == 1
    assert "specbench.lock has no entry" in said


def test_a_scenario_without_a_baseline_must_be_marked(governed: Project) -> None:
    governed.scenario("fresh")
    governed.specbench("lock", ".", "--sandbox", "local")

    code, said = strict(governed)
    assert code == 1
    assert "fresh.scenario.yaml:1: scenario_id: it has no active baseline" in said

    governed.scenario("fresh", provisional=True)
    assert strict(governed)[0] == 0


def test_a_mark_beside_a_baseline_is_a_contradiction(governed: Project) -> None:
    governed.scenario(provisional=True)

    code, said = strict(governed)

    assert code == 1
    assert record(governed)["baseline_id"] in said


@pytest.mark.parametrize("kind", ["record", "entry", "bundle", "foreign", "removed"])
def test_a_baseline_that_changed_without_an_entry(governed: Project, kind: str) -> None:
    folder = governed.path / "baselines"
    name = record(governed)["baseline_id"]
    path = {
        "record": folder / "demo" / f"{name}.json",
        "entry": next((folder / "audit").glob("*.json")),
        "bundle": folder / "demo" / name / "summary.json",
        "foreign": folder / "demo" / "demo-2026-01-01-00000000.json",
        "removed": folder / "demo" / f"{name}.json",
    }[kind]
    if kind == "removed":
        path.unlink()
    elif kind == "foreign":
        path.write_bytes((folder / "demo" / f"{name}.json").read_bytes())
    else:
        path.write_text(path.read_text("utf-8").replace(MARA, BEN).replace('"demo"', '"dema"') + " ", "utf-8")

    code, said = strict(governed)
    verified = governed.specbench("baseline", "verify")

    assert code == 1
    assert path.name in said
    assert verified.code == 2
    assert path.name in verified.err


def test_a_broken_maintainers_file_is_told_with_its_line(governed: Project) -> None:
    governed.file("baselines/maintainers.yaml", "maintainers:\n  - principal: [x]\n    rotations: [a]\n")

    code, said = strict(governed)

    assert code == 1
    assert "maintainers.yaml:2" in said


def test_two_records_and_a_run_are_shown_side_by_side(governed: Project) -> None:
    first = record(governed)["baseline_id"]
    passes(governed, 1)
    approved(governed)
    second = record(governed)["baseline_id"]

    both = governed.specbench("baseline", "diff", first, second)
    assert both.code == 0
    assert first in both.out
    assert second in both.out

    commit(governed)
    passes(governed, 1)
    proposed = governed.specbench("baseline", "diff", "--scenario", "demo", "--run", "latest")
    assert proposed.code == 0
    assert second in proposed.out
    shown = governed.specbench("baseline", "show", first)
    assert f"superseded by {second}" in shown.out
    assert governed.specbench("baseline", "show", "nothing").code == 2


def test_an_expired_baseline_blocks(governed: Project) -> None:
    passes(governed, 1)
    approved(governed, "--expires", "2999-01-01")

    assert record(governed)["expires_on"] == "2999-01-01"


def test_a_loosened_gate_needs_no_run_to_be_found(governed: Project) -> None:
    git(governed.path, "branch", "trusted")
    assert strict(governed, "--trusted-ref", "trusted")[0] == 0
    governed.scenario(metrics_tracked=["success"])

    code, said = strict(governed, "--trusted-ref", "trusted")

    assert code == 1
    assert "it is judged otherwise than at trusted" in said
