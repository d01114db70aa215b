"""What is wrong in a YAML file, in sentences: one `Problem` for each thing to mend, with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pytest_specbench.core.errors import ScenarioError

type KeyPath = tuple[str | int, ...]


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
            text += f".{key}" if text else key
    return text


def one_of(names: Iterable[str], given: object = None) -> str:
    """`one of a, b, c; the nearest is 'b'`."""
    names = list(names)
    if not names:
        return "none: there are none"
    near = get_close_matches(given, names, n=1) if isinstance(given, str) else []
    listed = f"one of {', '.join(names)}" if len(names) > 1 else names[0]
    return listed + (f"; the nearest is {near[0]!r}" if near else "")


def scenario_error(given: str, lines: Mapping[KeyPath, int], problems: Iterable[Problem]) -> ScenarioError:
    """One error that holds all problems of the file `given`, in the order of their lines."""
    placed = sorted(
        ((place(given, lines, problem.keys, problem.line), problem) for problem in problems),
        key=lambda pair: _line(pair[0], given),
    )
    errors = tuple(ScenarioError(problem.message, where=where, expected=problem.expected) for where, problem in placed)
    number = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    return ScenarioError(
        f"{number} in {given}", where=errors[0].where, hint=f"specbench validate {given}", problems=errors
    )


def _line(where: str, given: str) -> int:
    return int(where[len(given) + 1 :].partition(":")[0])
