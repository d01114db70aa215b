"""What earlier attempts of a run have left that need not be run again: only what is complete, and as it was left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from pytest_specbench.core.records import BenchmarkRun, Fingerprint, TrialRecord
from pytest_specbench.core.status import Outcome
from pytest_specbench.recording.attempts import attempts
from pytest_specbench.recording.files import sha256_file
from pytest_specbench.recording.trial_file import TRIAL_FILE, TrialFile, is_intact, read_trial

RECORD = "run.json"


def earlier_runs(run_folder: Path, run_id: str, scenario_id: str, tree: str | None) -> Iterator[BenchmarkRun]:
    """The benchmark runs of the scenario whose record is well-formed and whose artifacts are as they were, the newest
    first. A trial in a record must be what the trial left itself, with `tree` checked out: none is where that cannot be
    told.
    """
    for name in attempts(run_folder, scenario_id):
        try:
            run = BenchmarkRun.model_validate_json((run_folder / name / RECORD).read_bytes())
            intact = not run.trials or is_intact(run_folder / name, run.artifact_hashes)
        except (OSError, ValidationError):
            continue
        own = (str(run.run_id), run.scenario_id, run.artifacts_path) == (run_id, scenario_id, name)
        if own and intact and all(_left_so(run_folder, trial, tree) for trial in run.trials):
            yield run


def _left_so(run_folder: Path, trial: TrialRecord, tree: str | None) -> bool:
    found = read_trial(run_folder / trial.artifacts_path)
    if found is None or tree is None or found.tree != tree:
        return False
    return found.trial == trial.model_copy(update={"repeated": False})


def earlier_trials(
    run_folder: Path, run_id: str, scenario_id: str, now: Fingerprint, tree: str | None
) -> dict[int, TrialFile]:
    """The complete trials of the scenario that say something about the agent and ran with what is observed `now` and
    with `tree` checked out, by number, each from the newest attempt that has it.
    """
    found: dict[int, TrialFile] = {}
    if tree is None:
        return found
    for name in attempts(run_folder, scenario_id):
        recorded = _recorded(run_folder / name)
        for folder in sorted((run_folder / name).glob("trial-*")):
            left = read_trial(folder)
            if recorded is not None and not _is_so(folder, recorded):
                continue
            if left is None or left.tree != tree:
                continue
            if _counts(left, folder.relative_to(run_folder), (run_id, scenario_id, now)):
                found.setdefault(left.trial.index, left)
    return found


def _recorded(attempt: Path) -> dict[str, str] | None:
    """The hashes in the attempt's record; None where there is no record that can be read."""
    try:
        return BenchmarkRun.model_validate_json((attempt / RECORD).read_bytes()).artifact_hashes
    except (OSError, ValidationError):
        return None


def _is_so(folder: Path, recorded: dict[str, str]) -> bool:
    """Whether the trial's own record is the one that the attempt's record hashed: nothing else covers it."""
    try:
        return recorded.get(f"{folder.name}/{TRIAL_FILE}") == sha256_file(folder / TRIAL_FILE)
    except OSError:
        return False


def _counts(left: TrialFile, folder: Path, expected: tuple[str, str, Fingerprint]) -> bool:
    trial = left.trial
    return (
        (left.run_id, left.scenario_id, left.fingerprint) == expected
        and trial.artifacts_path == folder.as_posix()
        and folder.name in (f"trial-{trial.index:02d}", f"trial-{trial.index:02d}-again")
        and trial.outcome is not Outcome.INFRASTRUCTURE
        and not trial.repeated
    )
