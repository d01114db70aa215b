"""Which old runs may go, and their removal. What an approval or acknowledgement rests on stays; in doubt, all stays."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.store.runs.history import History
from pytest_specbench.store.runs.indexing import UNFINISHED_SEC, last_written
from pytest_specbench.store.runs.run_folder import REPORT, RUNS
from pytest_specbench.store.runs.streak_ends import needed

REMOVING = ".removing-"
"""How the folders begin that hold what is being removed; what a killed removal left in them goes with the next."""
MAX_BYTES = 50_000_000
_DAY = 86_400


@dataclass(frozen=True)
class Keep:
    """What is kept: the newest `runs`, and what is younger than `days`. A run goes when neither keeps it; None: it does
    not keep any.
    """

    runs: int | None = None
    days: float | None = None


@dataclass(frozen=True)
class Candidate:
    """A run that retention would remove."""

    name: str
    """Its folder."""
    run_id: str | None
    kept: str = ""
    """Why it stays all the same; empty: it goes."""


def protected_runs(baselines: Path) -> set[str]:
    """The ids of all runs that anything in the baseline folder names: records, audit entries, pending, bundled files.

    Raises BlockedError(BASELINE_INVALID) when any of it cannot be read: then nobody knows what must stay.
    """
    found: set[str] = set()
    for path in _json_files(baselines):
        try:
            if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
                raise _unreadable(path, "it is no regular file of a sane size")
            found.update(_run_ids(json.loads(path.read_bytes())))
        except OSError as error:
            raise _unreadable(path, str(error)) from None
        except (ValueError, RecursionError) as error:
            raise _unreadable(path, f"not JSON: {error}") from None
    return found


def _json_files(root: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise _unreadable(Path(str(error.filename)), str(error))

    if not os.path.lexists(root):
        return
    if not root.is_dir():
        raise _unreadable(root, "it is no folder")
    for folder, folders, names in os.walk(root, onerror=refuse):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        if links:
            raise _unreadable(Path(folder, links[0]), "it is a link")
        yield from (Path(folder, name) for name in names if name.endswith((".json", ".json.pending")))


def _run_ids(content: Any) -> Iterator[str]:
    """What stands under `run_id` and `run_ids`, at any depth."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "run_id" and isinstance(value, str):
                yield value.lower()
            elif key == "run_ids" and isinstance(value, list):
                yield from (str(one).lower() for one in value)
            else:
                yield from _run_ids(value)
    elif isinstance(content, list):
        for value in content:
            yield from _run_ids(value)


def _unreadable(path: Path, why: str) -> BlockedError:
    return _refusal(path, f"a baseline file cannot be read: {why}")


def _refusal(path: Path, why: str) -> BlockedError:
    return BlockedError(
        f"no run was removed: {why}",
        cause=Cause.BASELINE_INVALID,
        where=str(path),
        expected="a readable baseline folder: the runs that it names are never removed",
        hint="specbench baseline verify",
    )


def candidates(
    history: History, keep: Keep, protected: Collection[str], alive: Callable[[str], bool]
) -> list[Candidate]:
    """The runs that neither count nor age keeps, newest first, each with the reason when it stays all the same.

    `protected` are ids of runs that must stay; `alive` says whether a process still runs an item of the run of that id.
    """
    link = history.output / "latest"
    latest = link.resolve().name if link.exists() else None
    now = time.time()
    found = []
    for number, (name, run_id, started, _) in enumerate(history.folders()):
        old = keep.days is None or now - started / 1e6 > keep.days * _DAY
        if (keep.runs is not None and number < keep.runs) or not old:
            continue
        kept = _reason(history.output / RUNS / name, run_id, latest, alive, protected)
        found.append(Candidate(name, run_id, kept))
    stay = needed(history.attempts(), {one.name for one in found if not one.kept})
    why = "it ended a streak of passing runs, and runs before it stay, which would look consecutive to later ones"
    return [replace(one, kept=why) if one.name in stay else one for one in found]


def missing(baselines: Path, named_by: str) -> BlockedError:
    """The refusal where the baseline folder that somebody named is not there: it would protect nothing."""
    return _refusal(baselines, f"the folder of the baselines that {named_by} names is not there")


def _reason(
    folder: Path, run_id: str | None, latest: str | None, alive: Callable[[str], bool], protected: Collection[str]
) -> str:
    """Why a run stays; empty when it may go."""
    if folder.name == latest:
        return "it is the latest"
    ids = {run_id} if run_id is not None else set()
    # Every id that the folder may stand for: by its records, and by the beginning that its name holds.
    begins = folder.name.rpartition("-")[2]
    if ids & set(protected) or any(one.startswith(begins) for one in protected if len(begins) == 8):
        return "a baseline or an acknowledgement rests on it"
    try:
        finished = (folder / REPORT).exists() or time.time() - last_written(folder) > UNFINISHED_SEC
    except FileNotFoundError:
        return "it is gone already"
    if (run_id is not None and alive(run_id)) or not finished:
        return "it may still be going on"
    return ""


def _leftovers(output: Path) -> list[Path]:
    """What killed removals left, and what killed imports and makers of an index left a day ago or more."""
    removing = list(output.glob(f"{REMOVING}*"))
    folders = [*removing, *output.glob(".import-*"), *output.glob(".index-*")]
    return [
        path
        for path in folders
        if path.is_dir()
        and not path.is_symlink()
        and (path in removing or time.time() - last_written(path) > UNFINISHED_SEC)
    ]


def prune(history: History, names: Sequence[str]) -> list[str]:
    """Remove run folders: out of sight first, out of the index, then from the disk. Returns what could not be removed,
    a sentence each. What an earlier removal left when it was killed goes as well.
    """
    problems: list[str] = []

    def note(_function: object, path: str, error: BaseException) -> None:
        problems.append(f"{path}: {error}")

    if names:
        with tempfile.TemporaryDirectory(dir=history.output, prefix=REMOVING, delete=False) as trash:
            gone = []
            for name in names:
                try:
                    (history.output / RUNS / name).rename(Path(trash) / name)
                    gone.append(name)
                except OSError as error:
                    problems.append(f"{name}: {error}")
            history.forget(gone)
    for left in _leftovers(history.output):
        shutil.rmtree(left, onexc=note)
    return problems
