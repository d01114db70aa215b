"""What is wrong in a YAML file, in sentences: one `Problem` for each thing to mend, with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pytest_specbench.core.errors import ScenarioError
from pytest_specbench.core.text import counted, one_line

type KeyPath = tuple[str | int, ...]

MOST = 100
"""How many problems of one file are told; it then has enough to mend."""
_LISTED = 100
"""How many names are listed, and looked at for the nearest."""
_LONGEST = 200
"""Characters of a key that are shown."""
_MESSAGE = 500
"""Characters of a message, which may quote a value."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `keys` is its place in the document, `line` overrides the line that `keys` has."""

    keys: KeyPath
    message: str
    expected: str | None = None
    line: int | None = None


def place(given: str, lines: Mapping[KeyPath, int], keys: KeyPath, line: int | None = None) -> str:
    """`file:line: key.path`; a key that is not in the file has the line of what should hold it."""
    known = keys
    while line is None and known not in lines and known:
        known = known[:-1]
    where = f"{given}:{line if line is not None else lines.get(known, 1)}"
    return f"{where}: {dotted(keys)}" if keys else where


def dotted(keys: KeyPath) -> str:
    """`runner.network`, `success_artifacts[0].path`."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            shown = one_line(key, _LONGEST)
            text += f".{shown}" if text else shown
    return text


def one_of(names: Iterable[str], given: object = None) -> str:
    """`one of a, b, c; the nearest is 'b'`."""
    names = list(names)
    if not names:
        return "none: there are none"
    listed, more = names[:_LISTED], len(names) - _LISTED
    near = get_close_matches(given, listed, n=1) if isinstance(given, str) and len(given) <= _LONGEST else []
    shown = ", ".join(one_line(name, _LONGEST) for name in listed) + (f" and {more} more" if more > 0 else "")
    listed_as = f"one of {shown}" if len(names) > 1 else shown
    return listed_as + (f"; the nearest is {near[0]!r}" if near else "")


def scenario_error(given: str, lines: Mapping[KeyPath, int], problems: Iterable[Problem]) -> ScenarioError:
    """One error that holds the problems of the file `given`, in the order of their lines, and no more than `MOST`."""
    placed = sorted(
        ((place(given, lines, problem.keys, problem.line), problem) for problem in problems),
        key=lambda pair: _line(pair[0], given),
    )
    errors = tuple(
        ScenarioError(one_line(problem.message, _MESSAGE), where=where, expected=problem.expected)
        for where, problem in placed[:MOST]
    )
    if len(placed) > MOST:
        errors = (*errors, ScenarioError("and more problems, which are told when these are mended", where=given))
    return ScenarioError(
        f"{counted(len(errors), 'problem', 'problems')} in {given}",
        where=errors[0].where,
        hint=f"specbench validate {given}",
        problems=errors,
    )


def _line(where: str, given: str) -> int:
    return int(where[len(given) + 1 :].partition(":")[0])
