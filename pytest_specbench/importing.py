"""Runs that were made elsewhere, taken in: unpacked aside, checked as a whole, then moved in, all or none."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_specbench.core.errors import ApprovalRefusedError
from pytest_specbench.core.settings import Settings
from pytest_specbench.reporting.recorded import Recorded, read_run
from pytest_specbench.reporting.write import ignore_artifacts
from pytest_specbench.store.runs.history import History
from pytest_specbench.store.runs.run_folder import NAME, RECORD, REPORT, RUNS
from pytest_specbench.store.runs.unpack import UnpackError, unpack

DEEPEST = 6
"""How many folders deep a run folder may lie in what is given."""


@dataclass
class Imported:
    """What became of it."""

    lines: list[str] = field(default_factory=list)
    """What was done, a sentence each."""
    problems: list[str] = field(default_factory=list)
    """Why nothing was done; empty when it was."""
    folders: list[str] = field(default_factory=list)
    """Names of the run folders that are there now."""


@dataclass(frozen=True)
class _Found:
    """A run that was found in one of the sources."""

    source: Path
    name: str
    """The name that its folder gets."""
    read: Recorded


def import_runs(sources: Sequence[Path], output: Path) -> Imported:
    """Add the runs in folders and archives to an artifact root. When anything is wrong with any of them, none is added,
    and `problems` says everything. A run that is there already, with the same content, stays as it is.
    """
    done = Imported()
    (output / RUNS).mkdir(parents=True, exist_ok=True)
    ignore_artifacts(output)
    with tempfile.TemporaryDirectory(dir=output, prefix=".import-", ignore_cleanup_errors=True) as aside:
        found: list[_Found] = []
        for number, source in enumerate(sources):
            folder = Path(aside) / str(number)
            folder.mkdir()
            try:
                unpack(source, folder)
            except UnpackError as error:
                done.problems += [f"{source}: {problem}" for problem in error.problems]
                continue
            runs = list(_run_folders(folder, DEEPEST))
            if not runs:
                done.problems.append(f"{source}: there is no run in it: no folder with a {REPORT}")
            for path in runs:
                one, problems = _checked(source, folder, path)
                done.problems += problems
                found += [one] if one is not None else []
        with History.open(output) as history:
            new = _new(found, history, done)
            if not done.problems:
                _move_in(new, history, done)
    return done


def with_imported_run(settings: Settings, scenario_id: str) -> Settings:
    """The same settings, where the run is one of this artifact root. What lies elsewhere is imported first; of several
    runs the newest of the scenario is meant. Raises ApprovalRefusedError.
    """
    path = Path(settings.run)
    if settings.run == "latest" or not path.exists() or path.resolve().is_relative_to(settings.output.resolve()):
        return settings
    done = import_runs([path], settings.output)
    if done.problems:
        raise ApprovalRefusedError(f"{path} cannot be imported:", tuple(done.problems))
    with History.open(settings.output) as history:
        rows = [row for name in done.folders for row in history.rows_of(name) if row.scenario_id == scenario_id]
    if not rows:
        raise ApprovalRefusedError(f"{path}:", (f"none of its runs has the scenario {scenario_id!r}",))
    return replace(settings, run=max(rows, key=lambda row: row.executed_at).folder)


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    """The run folders in a folder: those with a report, or with a scenario that has a record."""
    if (folder / REPORT).is_file() or any(folder.glob(f"*/{RECORD}")):
        yield folder
    elif depth:
        for below in sorted(path for path in folder.iterdir() if path.is_dir()):
            yield from _run_folders(below, depth - 1)


def _checked(source: Path, top: Path, path: Path) -> tuple[_Found | None, list[str]]:
    """The run in a folder, and everything that is wrong with it, with paths as they are in the source."""
    read = read_run(path)
    problems = [problem.what.replace(str(top), str(source)) for problem in read.problems]
    if read.report is None or problems:
        return None, problems
    run_id = str(read.report.run_id)
    named = Path(read.report.run_folder).name
    if not NAME.fullmatch(named) or not run_id.startswith(named[-8:]):
        return None, [f"{source}: {REPORT} calls the folder of run {run_id} {named!r}, which does not fit"]
    return _Found(source, named, read), []


def _new(found: Sequence[_Found], history: History, done: Imported) -> list[_Found]:
    """Those that are not there yet; one that is there with other content is a problem."""
    new: dict[str, _Found] = {}
    for one in found:
        run_id = str(one.read.run_id)
        there = [history.output / RUNS / name for name in {*history.folders_of(run_id), one.name}]
        there = [path for path in there if path.is_dir()]
        twin = new.get(run_id)
        there += [twin.read.folder] if twin is not None else []
        if not there:
            new[run_id] = one
        elif all(content_of(path) == content_of(one.read.folder) for path in there):
            done.lines.append(f"run {run_id} is there already")
            done.folders.append(there[0].name)
        else:
            done.problems.append(f"{one.source}: run {run_id} is there already, with other content")
    return list(new.values())


def _move_in(new: Sequence[_Found], history: History, done: Imported) -> None:
    for one in new:
        target = history.output / RUNS / one.name
        same = content_of(one.read.folder)
        try:
            one.read.folder.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or content_of(target) != same:
                done.problems.append(f"{one.source}: run {one.read.run_id} could not be moved in: {error}")
                continue
            done.lines.append(f"run {one.read.run_id} is there already")  # another process was faster
            done.folders.append(target.name)
            continue
        history.add(target)
        done.folders.append(target.name)
        scenarios = ", ".join(one.read.entries()) or "no scenario"
        done.lines.append(f"imported run {one.read.run_id} into {target}: {scenarios}")


def content_of(folder: Path) -> dict[str, str]:
    """sha256 of every file of a run folder, by path; the copy of the metadata that some systems make for a link is left
    out.
    """
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if path.is_symlink() or not path.is_file() or name == "run-metadata.json":
                continue
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
