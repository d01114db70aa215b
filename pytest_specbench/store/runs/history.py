"""The runs that are recorded below an artifact root, found by its index. The folders count; the index follows them.

Whoever reads gets the index in step with the folders first, by their names; whoever has made a run adds just that one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from pytest_specbench.core.errors import RunNotFoundError
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.store.runs import indexing
from pytest_specbench.store.runs.index import (
    COLUMNS,
    INDEX,
    HistoryError,
    Say,
    is_damage,
    open_index,
    put_aside,
    tell,
    temporary_index,
)
from pytest_specbench.store.runs.run_folder import (
    REPORT,
    RUNS,
    RecordError,
    Row,
    read_record,
    read_rows,
)
from pytest_specbench.store.runs.which import Which

STALE = "index.stale"
"""A file that says that a run could not be added; whoever adds the next one looks for what is missing."""
SHORTEST_PREFIX = 8
_NAMES = ", ".join(COLUMNS)


def index_run(output: Path, run_folder: Path, say: Say = tell) -> None:
    """Add a run that was just made. Never raises: a run is worth more than its place in the index, and what is missing
    there is found again by the next reader.
    """
    try:
        with History(open_index(output, say), output, say) as history:
            if (output / STALE).exists():
                history.sync()
                (output / STALE).unlink(missing_ok=True)
            history.add(run_folder)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run counts without it
        say(f"the run is recorded, and could not be added to the index: {error}\n  next: specbench index")
        with suppress(OSError):
            (output / STALE).touch()


class History:
    """The recorded runs of an artifact root; `with History.open(output) as history`. One thread uses it."""

    def __init__(self, connection: sqlite3.Connection, output: Path, say: Say) -> None:
        self._connection = connection
        self.output = output
        self._say = say

    @classmethod
    def open(cls, output: Path, say: Say = tell) -> History:
        """The history of an artifact root, in step with its folders. Where the root cannot be written to, it is made in
        memory. Raises RunNotFoundError where there is no such root, HistoryError for an index that cannot be used.
        """
        if not (output / RUNS).is_dir():
            raise RunNotFoundError(
                "no run is recorded here",
                where=str(output),
                expected=f"an artifact root, which has a folder {RUNS}/",
                hint="specbench run, or name another root with --output",
            )
        if os.access(output, os.W_OK):
            history = cls(open_index(output, say), output, say)
        else:
            say(f"{output} cannot be written to: the index is made in memory")
            history = cls(temporary_index(), output, say)
        history.sync()
        return history

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    # -- writing -------------------------------------------------------------------------------------------------------

    def add(self, run_folder: Path) -> int:
        """Index a run folder anew, and return how many benchmark runs it holds. Costs what the folder holds."""
        return self._guarded(lambda: indexing.add(self._connection, self.output, [run_folder.name]))

    def forget(self, names: Sequence[str]) -> None:
        """Take run folders out of the index."""
        self._guarded(lambda: indexing.remove(self._connection, names))

    def sync(self) -> tuple[int, int]:
        """Add the folders that are missing in the index, and take out those that are gone; how many of each."""
        return self._guarded(lambda: indexing.sync(self._connection, self.output, self._say))

    def rebuild(self) -> int:
        """Read every run folder anew; how many benchmark runs there are. What others add meanwhile stays."""
        return self._guarded(lambda: indexing.rebuild(self._connection, self.output))

    def _guarded[T](self, work: Callable[[], T]) -> T:
        """Do the work; when the index turns out to be damaged, put it aside and do it with a new one."""
        try:
            return work()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise HistoryError(f"the index of runs: {error}", where=str(self.output / INDEX)) from None
            self._connection.close()
            put_aside(self.output / INDEX, str(error), self._say)
            self._connection = open_index(self.output, self._say)
        try:
            indexing.sync(self._connection, self.output, self._say)
            return work()
        except sqlite3.Error as error:
            raise HistoryError(f"the index of runs: {error}", where=str(self.output / INDEX)) from None

    # -- reading -------------------------------------------------------------------------------------------------------

    def latest(self, dataset: str | None = None) -> list[Row]:
        """The newest benchmark run of each scenario, sorted by scenario; those of a dataset only where one is given:
        `NAME`, or `NAME==VERSION` (`NAME@VERSION`). A row with a `problem` is a record that cannot be used.
        """
        where, values = _of_dataset(dataset)

        def work() -> list[Row]:
            scenarios = self._connection.execute("SELECT DISTINCT scenario_id FROM runs ORDER BY scenario_id")
            found = [
                self._rows(
                    f"WHERE scenario_id = ? AND counts = 1{where} ORDER BY executed_at DESC, folder DESC LIMIT 1",
                    scenario_id,
                    *values,
                )
                for (scenario_id,) in scenarios.fetchall()
            ]
            return [row for rows in found for row in rows]

        return self._guarded(work)

    def runs(
        self,
        scenario_id: str,
        *,
        like: BenchmarkRun | None = None,
        limit: int | None = None,
        blocked: bool = True,
        attempts: bool = False,
    ) -> list[BenchmarkRun]:
        """The last attempts at a scenario, oldest first; with `like` those with its instrument and host class, up to
        it; with `limit` only the newest; without `blocked` only those that say something. With `attempts` there are
        also, beyond `limit`, the earlier attempts of these runs that did not pass: they end a streak of passing runs.

        A record that is missing or altered ends the list: whether the runs before it follow each other is unknown.
        """
        found: list[BenchmarkRun] = []
        of = Which(scenario_id, like, blocked, attempts)
        for row in self._guarded(lambda: self._history_of(of, limit)):
            try:
                run, digest = read_record(self.path_of(row))
            except RecordError:
                break
            if digest != row.sha256:
                break
            found.append(run)
        return list(reversed(found))

    def _history_of(self, of: Which, limit: int | None) -> list[Row]:
        """Newest first. A record that cannot be used stays in, whatever it may have been."""
        condition, values = of.condition()
        query = f"SELECT {_NAMES} FROM runs WHERE {condition} ORDER BY executed_at DESC, folder DESC, attempt DESC"  # noqa: S608 - names of our own
        found: list[Row] = []
        left = limit
        with closing(self._connection.execute(query, values)) as rows:
            for row in (Row(*columns) for columns in rows):
                if left == 0 and (row.counts or row.folder != found[-1].folder):
                    break
                found.append(row)
                left = None if left is None else left - row.counts
        return found

    def rows_of(self, folder: str) -> list[Row]:
        """The last attempts of a run folder, by scenario."""
        return self._guarded(lambda: self._rows("WHERE folder = ? AND counts = 1 ORDER BY scenario_id", folder))

    def attempts(self) -> list[Row]:
        """Every attempt that is indexed, by scenario, oldest first."""
        return self._guarded(lambda: self._rows("ORDER BY scenario_id, executed_at, run_id, attempt"))

    def folders(self) -> list[tuple[str, str | None, int, bool]]:
        """Name, run id, start (microseconds since 1970) and whether it is finished, of every run; newest first."""
        query = "SELECT name, run_id, started, complete FROM folders ORDER BY started DESC, name DESC"
        rows = self._guarded(lambda: self._connection.execute(query).fetchall())
        return [(name, run_id, started, bool(complete)) for name, run_id, started, complete in rows]

    def count(self) -> tuple[int, int]:
        """How many benchmark runs (attempts included) and run folders are indexed."""

        def work() -> tuple[int, int]:
            (runs,) = self._connection.execute("SELECT count(*) FROM runs").fetchone()
            (folders,) = self._connection.execute("SELECT count(*) FROM folders").fetchone()
            return runs, folders

        return self._guarded(work)

    def path_of(self, row: Row) -> Path:
        """The record of a row."""
        return self.output / RUNS / row.folder / row.path

    def find(self, run_ref: str) -> Path:
        """The folder of the run that is meant by its id, at least 8 characters of that, the name or path of its folder,
        or `latest`. Raises RunNotFoundError.
        """
        if run_ref == "latest":
            return self._newest()
        if _is_name(run_ref) and (self.output / RUNS / run_ref).is_dir():
            return self.output / RUNS / run_ref
        path = as_run_folder(run_ref)
        if path is not None:
            return path
        found = self.folders_of(run_ref) if len(run_ref) >= SHORTEST_PREFIX else []
        if len(found) == 1:
            return self.output / RUNS / found[0]
        what = f"several runs begin with {run_ref!r}: {', '.join(found[:5])}" if found else f"no run is {run_ref!r}"
        raise RunNotFoundError(
            what,
            where=str(self.output),
            expected=f"a run's id, at least {SHORTEST_PREFIX} characters of it, its folder, or `latest`",
            hint="specbench report shows what there is; specbench run makes a new one, specbench import adds others",
        )

    def folders_of(self, prefix: str) -> list[str]:
        """Names of the folders of the runs whose id begins with `prefix`."""
        low = prefix.lower()

        def work() -> list[str]:
            query = "SELECT name FROM folders WHERE run_id >= ? AND run_id < ? ORDER BY name"
            return [name for (name,) in self._connection.execute(query, (low, low + "\U0010ffff"))]

        return self._guarded(work)

    def _newest(self) -> Path:
        link = self.output / "latest"
        if link.is_dir():
            return link.resolve()
        names = [name for name, *_ in self.folders()]
        if not names:
            raise RunNotFoundError("no run is recorded here", where=str(self.output), hint="specbench run")
        return self.output / RUNS / names[0]

    def _rows(self, where: str, *values: object) -> list[Row]:
        return [Row(*row) for row in self._connection.execute(f"SELECT {_NAMES} FROM runs {where}", values)]  # noqa: S608


def as_run_folder(path: str) -> Path | None:
    """The path as that of a run folder; None when it is not one."""
    with suppress(OSError, ValueError):
        folder = Path(path)
        if folder.is_dir() and ((folder / REPORT).exists() or read_rows(folder)):
            return folder.resolve()
    return None


def _is_name(text: str) -> bool:
    return 0 < len(text.encode("utf-8", "replace")) < 256 and text not in (".", "..") and not set(text) & {"/", "\0"}


def _of_dataset(dataset: str | None) -> tuple[str, tuple[str | int, ...]]:
    """The condition on a dataset, and its values. A name alone is every version; what is unreadable belongs to all."""
    if dataset is None:
        return "", ()
    exact = dataset if "==" in dataset else "==".join(dataset.rsplit("@", 1))
    return " AND (dataset = ? OR substr(dataset, 1, ?) = ? OR dataset IS NULL)", (
        exact,
        len(dataset) + 2,
        f"{dataset}==",
    )
