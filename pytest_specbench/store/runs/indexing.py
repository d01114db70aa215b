"""What the index holds of the run folders: added a folder at a time, compared by name, or read anew."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from itertools import batched
from pathlib import Path

from pytest_specbench.store.runs.index import COLUMNS, Say, writing
from pytest_specbench.store.runs.run_folder import REPORT, RUNS, Row, is_text, read_rows, run_id_of, started_at

UNFINISHED_SEC = 86_400
"""A run without a report that nothing was written to for so long has ended."""
_BATCH = 500
_NAMES = ", ".join(COLUMNS)
_RUN = f"INSERT OR REPLACE INTO runs ({_NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - our names
_FOLDER = "INSERT OR REPLACE INTO folders (name, run_id, started, complete) VALUES (?, ?, ?, ?)"


def folder_names(output: Path) -> Iterator[str]:
    """The names of the run folders below an artifact root, in no order."""
    return (path.name for path in (output / RUNS).iterdir() if _is_run_folder(path))


def _is_run_folder(path: Path) -> bool:
    return path.name[0] != "." and is_text(path.name) and path.is_dir() and not path.is_symlink()


def add(connection: sqlite3.Connection, output: Path, names: Sequence[str]) -> int:
    """Index run folders anew, and return how many benchmark runs they hold. Costs what they hold."""
    count = 0
    for batch in batched(names, _BATCH):
        # Read before the transaction begins: nobody waits for our disk.
        read = [found for found in (_read(output / RUNS / name) for name in batch) if found is not None]
        rows = [tuple(getattr(row, name) for name in COLUMNS) for _, rows in read for row in rows]
        with writing(connection):
            _delete(connection, batch)
            connection.executemany(_FOLDER, [folder for folder, _ in read])
            connection.executemany(_RUN, rows)
        count += len(rows)
    return count


def remove(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Take run folders out of the index."""
    for batch in batched(names, _BATCH):
        with writing(connection):
            _delete(connection, batch)


def sync(connection: sqlite3.Connection, output: Path, say: Say) -> tuple[int, int]:
    """Add the folders that are missing, take out those that are gone, and look again at runs that were going on. How
    many were added, and how many taken out.
    """
    # Names only: with 100,000 of them, looking at each would be most of what a report takes.
    there = set(os.listdir(output / RUNS))  # noqa: PTH208 - as above
    known = {name for (name,) in connection.execute("SELECT name FROM folders")}
    going = {name for (name,) in connection.execute("SELECT name FROM folders WHERE complete = 0")}
    missing = sorted(name for name in there - known if _is_run_folder(output / RUNS / name))
    unfinished, gone = sorted(going & there), sorted(known - there)
    if len(missing) > _BATCH:
        say(f"{len(missing)} run folders are not in the index yet; reading them")
    remove(connection, gone)
    add(connection, output, [*missing, *unfinished])
    return len(missing), len(gone)


def rebuild(connection: sqlite3.Connection, output: Path) -> int:
    """Read every run folder anew; how many benchmark runs there are. What others add meanwhile stays."""
    known = {name for (name,) in connection.execute("SELECT name FROM folders")}
    there = set(folder_names(output))
    remove(connection, sorted(known - there))
    return add(connection, output, sorted(there))


def _read(folder: Path) -> tuple[tuple[str, str | None, int, int], list[Row]] | None:
    """What the tables hold of a folder; None for one that was removed meanwhile."""
    try:
        complete = (folder / REPORT).exists() or time.time() - last_written(folder) > UNFINISHED_SEC
        rows = read_rows(folder)
        run_id = next((row.run_id for row in rows if row.run_id), None) or run_id_of(folder)
        return (folder.name, run_id, started_at(folder), int(complete)), rows
    except FileNotFoundError:
        return None


def last_written(folder: Path) -> float:
    """When something was last made in a run folder or in one of its scenarios' folders, seconds since 1970."""
    newest = folder.stat().st_mtime
    with os.scandir(folder) as entries:
        for entry in entries:
            newest = max(newest, entry.stat(follow_symlinks=False).st_mtime)
    return newest


def _delete(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    values = [(name,) for name in names]
    connection.executemany("DELETE FROM runs WHERE folder = ?", values)
    connection.executemany("DELETE FROM folders WHERE name = ?", values)
