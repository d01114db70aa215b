"""Which runs have to stay so that the runs around them do not follow each other. Pure.

An approval takes consecutive passing runs. Where a run that ended a streak were removed, and older and newer ones were
not, these would look consecutive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from pytest_specbench.core.status import Cause, Status
from pytest_specbench.store.runs.run_folder import Row

type _Environment = tuple[str, str | None, str | None]
"""Scenario, instrument and host class: runs of another one are none of a streak's."""


def needed(rows: Iterable[Row], going: Collection[str]) -> set[str]:
    """Of the run folders that are `going`, those that have to stay: of what ended a streak between two runs that stay,
    or between the last of them and those to come, one for each such gap.

    `rows` are all attempts of all runs, oldest first.
    """
    by_environment = _by_environment(rows)
    left, stay = set(going), set[str]()
    while found := {folder for attempts in by_environment.values() for folder in _between(attempts, left)}:
        # What stays now may open a gap of another of its scenarios.
        left -= found
        stay |= found
    return stay


def _by_environment(rows: Iterable[Row]) -> dict[_Environment, list[Row]]:
    """The attempts that a streak meets; an earlier one of a run that passed is none. A record that cannot be used
    may be of any environment of its scenario.
    """
    told = [row for row in rows if row.status != Status.BLOCKED and (row.counts or _ends(row))]
    environments: dict[str, set[_Environment]] = defaultdict(set)
    for row in told:
        environments[row.scenario_id].add((row.scenario_id, row.instrument, row.host_class))
    found: dict[_Environment, list[Row]] = defaultdict(list)
    for row in told:
        own = {(row.scenario_id, row.instrument, row.host_class)}
        for environment in environments[row.scenario_id] if row.problem is not None else own:
            found[environment].append(row)
    return found


def _between(attempts: Sequence[Row], going: Collection[str]) -> set[str]:
    """One folder for each gap in which all that ends a streak is going."""
    stay: set[str] = set()
    older: Row | None = None
    gap: list[Row] = []
    for row in [*attempts, None]:
        if row is not None and row.folder in going:
            gap.append(row)
            continue
        if older is not None and _continues(older, row):
            stay.update(_end_in(gap, older))
        older, gap = row, []
    return stay


def _continues(older: Row, newer: Row | None) -> bool:
    """Whether two runs that stay would be of one streak; None is whatever comes."""
    ends = _ends(older) or (newer is not None and _ends(newer))
    return not ends and (newer is None or newer.subject == older.subject)


def _end_in(gap: Sequence[Row], older: Row) -> set[str]:
    """What to keep of a gap: the newest that ends every streak, else the newest that ends those of most approvals."""
    certain = [row.folder for row in gap if _ends(row) or (row.counts and row.subject != older.subject)]
    perhaps = [row.folder for row in gap if row.cause == Cause.ACKNOWLEDGED]
    return set((certain or perhaps)[-1:])


def _ends(row: Row) -> bool:
    """Whether the attempt ends every streak. An acknowledged one does not, where the approval accepts it."""
    passed = row.status in (Status.PASS, Status.PROVISIONAL)
    return row.problem is not None or not passed or (bool(row.counts) and row.clean != 1)
