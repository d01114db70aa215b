"""The index file: its form, and that it is ours and whole. What it holds is derived, so a bad one is put aside."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from pytest_specbench.core.errors import SpecbenchError
from pytest_specbench.store.placing import alone_with, place
from pytest_specbench.store.runs.run_folder import Row

INDEX = "index.sqlite"
APPLICATION = 0x53504244
"""SQLite's application id of an index, which tells it from every other database."""
VERSION = 1
"""Version of the form, in SQLite's user_version."""
BUSY_SEC = 30.0
"""How long another process may write before we give up."""
COLUMNS = tuple(field.name for field in fields(Row))

type Say = Callable[[str], None]

_NUMBERS = {"attempt", "counts", "executed_at", "exit_code", "clean", "success"}
_REALS = {"runtime_ms", "peak_memory_mb", "runtime_percent", "memory_percent"}
_FORM = [
    "CREATE TABLE folders (name TEXT PRIMARY KEY, run_id TEXT, started INTEGER, complete INTEGER) WITHOUT ROWID",
    "CREATE TABLE runs ("
    + ", ".join(f"{name} {'INTEGER' if name in _NUMBERS else 'REAL' if name in _REALS else 'TEXT'}" for name in COLUMNS)
    + ", PRIMARY KEY (folder, path)) WITHOUT ROWID",
    "CREATE INDEX runs_by_scenario ON runs (scenario_id, executed_at)",
    "CREATE INDEX runs_by_id ON runs (run_id)",
    "CREATE INDEX folders_by_id ON folders (run_id)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
]


class HistoryError(SpecbenchError):
    """The index cannot be used, for a reason that is not its content."""


class _NotOursError(Exception):
    """The file is no index of this version."""


def tell(message: str) -> None:
    """Say something on stderr, where no report is."""
    sys.stderr.write(f"specbench: {message}\n")


def open_index(output: Path, say: Say = tell) -> sqlite3.Connection:
    """The index of an artifact root, made when it is not there. A file that is not ours, or of another version, is put
    aside with a message. Raises HistoryError when it can be neither used nor made.
    """
    path = output / INDEX
    try:
        _make(path)
        try:
            return _connect(path)
        except _NotOursError as problem:
            put_aside(path, str(problem), say)
            _make(path)
            return _connect(path)
    except (sqlite3.Error, OSError, _NotOursError) as error:
        raise HistoryError(
            f"the index of runs cannot be used: {error}",
            where=str(path),
            hint="`specbench index`, when the folder can be written to and no other process holds the file",
        ) from None


def temporary_index() -> sqlite3.Connection:
    """An index in memory, for a root that cannot be written to."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in _FORM:
        connection.execute(statement)
    return connection


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error means that the file is no database, or a broken one. A full disk or a lock is not that."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction; whatever goes wrong in it, nothing of it stays."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def put_aside(path: Path, why: str, say: Say) -> None:
    """Move a file that is no usable index out of the way, with what SQLite wrote beside it; one process does it."""
    with exclusive(path):
        try:
            _connect(path, thorough=True).close()
        except _NotOursError:
            pass
        except FileNotFoundError:
            return  # another process has moved it, and made none yet
        else:
            return  # another process has made a good one meanwhile
        aside = f"{path.name}.aside-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        for suffix in ("", "-wal", "-shm"):
            if os.path.lexists(f"{path}{suffix}"):
                path.with_name(path.name + suffix).rename(path.with_name(aside + suffix))
    say(f"{path} is not usable ({why}); it was moved to {aside}, and the index is made anew from the run folders")


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """One process of this machine at a time. The mutex lies outside of the artifacts. HistoryError after a while."""
    with ExitStack() as stack:
        try:
            stack.enter_context(alone_with(path, BUSY_SEC))
        except TimeoutError as error:
            raise HistoryError(str(error), hint="try again") from None
        yield


def _make(path: Path) -> None:
    """Make an empty index, wholly or not at all; several processes may do so at once."""
    if os.path.lexists(path):
        return
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".index-") as folder:
        made = Path(folder) / INDEX
        with closing(sqlite3.connect(made, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            for statement in _FORM:
                connection.execute(statement)
        with suppress(FileExistsError):  # another process has made it
            place(made, path)


def _connect(path: Path, *, thorough: bool = False) -> sqlite3.Connection:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise _NotOursError("it is no regular file")
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SEC, isolation_level=None
    )
    try:
        _check(connection, thorough=thorough)
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error as error:
        connection.close()
        if is_damage(error) or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR:
            raise _NotOursError(str(error)) from None
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, *, thorough: bool) -> None:
    """Raises _NotOursError for a database that is not ours, of another version, or (`thorough`) damaged anywhere."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise _NotOursError("it is no index of runs")
    if version != VERSION:
        raise _NotOursError(f"it has version {version} of the form, and this is {VERSION}")
    connection.execute(f"SELECT {', '.join(COLUMNS)} FROM runs LIMIT 0")  # noqa: S608 - names of our own
    connection.execute("SELECT name, run_id, started, complete FROM folders LIMIT 0")
    if thorough and connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
        raise _NotOursError("it is damaged")
