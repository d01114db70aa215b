"""The folders of a scenario in a run: one an attempt, and nothing is ever written over."""

from __future__ import annotations

from pathlib import Path

ATTEMPTS = "rerun-"
"""How the folders of further attempts begin, inside of the first one's: each has a record and hashes of its own."""


def claim_attempt(run_folder: Path, scenario_id: str) -> str:
    """Make the folder of an attempt at the scenario, and return its name: the scenario's own, or one inside of it when
    the run has tried before (a plugin reruns failures, or the run is resumed). Raises OSError.
    """
    run_folder.mkdir(parents=True, exist_ok=True)  # by itself: what is in its way is in the way of every name
    name, again = scenario_id, 0
    while True:
        try:
            (run_folder / name).mkdir()
        except FileExistsError:
            again += 1
            name = f"{scenario_id}/{ATTEMPTS}{again:02d}"
        else:
            return name


def attempts(run_folder: Path, scenario_id: str) -> list[str]:
    """The folders of all attempts so far, relative to the run folder, the newest first."""
    if not (run_folder / scenario_id).is_dir():
        return []
    names = [scenario_id]
    while (run_folder / scenario_id / f"{ATTEMPTS}{len(names):02d}").is_dir():
        names.append(f"{scenario_id}/{ATTEMPTS}{len(names):02d}")
    return names[::-1]
