"""An approval that is killed at any point leaves the old state or the new one, and the next one clears up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from store_support import ANYBODY, BUNDLE, approve, entries, record_of

from pytest_specbench.store.baselines.records import read_baselines, verify_baselines
from pytest_specbench.store.trees import FolderTree

OLD, NEW, NEXT = (record_of(number) for number in (1, 2, 3))


def active(root: Path) -> list[str]:
    """Ids of the active baselines; reading them would raise if anything was half there."""
    return [record.baseline_id for record in read_baselines(FolderTree(root), "s", ANYBODY).active]


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_kill_at_any_call_leaves_the_old_or_the_new_state_and_the_next_approval_clears_up(tmp_path: Path) -> None:
    approve(tmp_path / "baselines", OLD)
    script = Path(__file__).with_name("kill_at_every_step.py")

    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "baselines"), str(tmp_path / "killed")],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )

    roots = sorted((tmp_path / "killed").iterdir())
    assert len(roots) == int(done.stdout) > 20
    found = [active(root) for root in roots]
    assert [NEW.baseline_id] in found[:-1], "one was killed between the entry and the end"
    assert found == sorted(found), "the old state up to some call, and the new one from there on"
    assert found[0] == [OLD.baseline_id]
    for root, state in zip(roots, found, strict=True):
        assert verify_baselines(FolderTree(root), ANYBODY) == []
        again = [NEW] if state == [OLD.baseline_id] else []
        for record in (*again, NEXT):
            approve(root, record)
        assert active(root) == [NEXT.baseline_id]
        assert verify_baselines(FolderTree(root), ANYBODY) == []
        assert len(entries(root)) == 3
        approved = {f"s/{record.baseline_id}.json" for record in (OLD, NEW, NEXT)}
        bundles = {f"s/{record.baseline_id}/{name}" for record in (OLD, NEW, NEXT) for name in BUNDLE}
        audit = {name for name in files(root) if name.startswith("audit/")}
        assert files(root) - audit == approved | bundles
        signatures = 0 if again else 1
        assert len(audit) == 3 + signatures
