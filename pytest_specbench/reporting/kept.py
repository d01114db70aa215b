"""How the sandboxes that were left for a look are shown."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_specbench.core.records import KeptSandbox


def kept_lines(kept: Sequence[KeptSandbox]) -> list[str]:
    """How each sandbox that was left for a look is entered and removed; nothing where there is none."""
    lines = ["kept for a look, until you remove them (all: specbench gc --kept):"] if kept else []
    for each in kept:
        lines += [f"  {each.scenario_id}: {each.enter}", f"    remove: {each.remove}"]
    return lines
