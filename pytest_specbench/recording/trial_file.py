"""`trial.json`: what came of one trial, with the hashes of what lies beside it, so that it need not be run again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from pytest_specbench.core.model import Record
from pytest_specbench.core.records import Fingerprint, KeptSandbox, TrialRecord
from pytest_specbench.recording.files import hash_tree, sha256_file, sync_folder, write_json

TRIAL_FILE = "trial.json"


class TrialFile(Record):
    """The record of one complete trial, written when all else of it is."""

    schema_version: Literal["1"] = "1"
    """Version of this record's form."""
    run_id: str
    """UUID of the run."""
    scenario_id: str
    """The scenario."""
    fingerprint: Fingerprint | None
    """What it ran with."""
    tree: str | None = None
    """What was checked out and changed, as a hash; null where that cannot be told."""
    trial: TrialRecord
    """What came of it."""
    artifact_hashes: dict[str, str]
    """sha256 of every artifact of the trial but this file, keyed by its path relative to the trial's folder."""


def write_trial(
    folder: Path, trial: TrialRecord, *, run_id: str, scenario_id: str, of: Fingerprint | None, tree: str | None
) -> None:
    """Write the file into the trial's folder, whose artifacts are complete; `of` is what the trial ran with, and `tree`
    what was checked out.
    """
    hashes = {name: digest for name, digest in hash_tree(folder).items() if name != TRIAL_FILE}
    record = TrialFile(
        run_id=run_id, scenario_id=scenario_id, fingerprint=of, tree=tree, trial=trial, artifact_hashes=hashes
    )
    write_json(folder / TRIAL_FILE, record)


def read_trial(folder: Path) -> TrialFile | None:
    """The record in a trial's folder, when it is well-formed and every artifact is there as it was; else None."""
    try:
        found = TrialFile.model_validate_json((folder / TRIAL_FILE).read_bytes())
        intact = is_intact(folder, found.artifact_hashes)
    except (OSError, ValidationError, ValueError):
        return None
    return found if intact else None


def is_intact(folder: Path, hashes: dict[str, str]) -> bool:
    """Whether every file that is named lies in the folder, as a file, with the content it had. Raises OSError."""
    return bool(hashes) and all(
        not (folder / name).is_symlink()
        and (folder / name).is_file()
        and (folder / name).resolve().is_relative_to(folder.resolve())
        and sha256_file(folder / name) == digest
        for name, digest in hashes.items()
    )


def take_trial(found: TrialFile, run_folder: Path, attempt: Path) -> TrialRecord:
    """Bring a complete trial of an earlier attempt into the folder of a new one, and return its record there.

    Files are linked where the file system can, since nobody changes them, else copied. Nothing is written over.
    """
    source = run_folder / found.trial.artifacts_path
    target = attempt / f"trial-{found.trial.index:02d}"
    target.mkdir()
    for name in found.artifact_hashes:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copyfile(source / name, target / name)
    for link in (path for path in source.iterdir() if path.is_symlink()):
        (target / link.name).symlink_to(link.readlink())
    sync_folder(target)
    there = target.relative_to(run_folder).as_posix()
    trial = found.trial.model_copy(update={"resumed": True, "artifacts_path": there})
    write_trial(
        target, trial, run_id=found.run_id, scenario_id=found.scenario_id, of=found.fingerprint, tree=found.tree
    )
    return trial


def kept_in(run_folder: Path) -> tuple[KeptSandbox, ...]:
    """The sandboxes that the trials of a run left for a look, each once, by the trials' own records."""
    found: dict[str, KeptSandbox] = {}
    for path in sorted(_trial_files(run_folder)):
        try:
            kept = TrialFile.model_validate_json(path.read_bytes()).trial.kept
        except (OSError, ValidationError):
            continue  # a broken record is told by the verdict of its scenario
        if kept is not None:
            found.setdefault(kept.name, kept)
    return tuple(found.values())


def _trial_files(run_folder: Path) -> Iterator[Path]:
    for pattern in (f"*/trial-*/{TRIAL_FILE}", f"*/*/trial-*/{TRIAL_FILE}"):
        yield from run_folder.glob(pattern)
