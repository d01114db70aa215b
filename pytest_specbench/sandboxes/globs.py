"""Globs over paths inside a sandbox, the same for every backend."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Glob:
    """A pattern relative to the workdir.

    `*` and `?` stay within one folder and, at the start of a name, do not match a leading dot, as in a shell; `**` as a
    whole component stands for any folders, hidden ones included, and at the end for everything below. Nothing else is
    special, so that `[id].tsx` is a name.
    """

    pattern: str
    prefix: str
    """The longest leading path without a wildcard, `` for the workdir; the whole path when there is no wildcard."""
    exact: bool
    """True when there is no wildcard."""
    expression: re.Pattern[str]

    def matches(self, path: str) -> bool:
        """Whether the relative path `path` is meant."""
        return self.expression.fullmatch(path) is not None


def compile_globs(patterns: Iterable[str]) -> list[Glob]:
    """Return the globs of `patterns`. What is absolute or climbs out of the workdir names nothing and is left out."""
    globs = []
    for pattern in patterns:
        path = PurePosixPath(pattern)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in pattern:
            continue
        globs.append(_compile(pattern, path.parts))
    return globs


def _compile(pattern: str, parts: tuple[str, ...]) -> Glob:
    fixed = 0
    while fixed < len(parts) and not _is_wild(parts[fixed]):
        fixed += 1
    expression = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            expression += ".+" if last else "(?:.+/)?"
        else:
            expression += _component(part) + ("" if last else "/")
    return Glob(pattern, "/".join(parts[:fixed]), fixed == len(parts), re.compile(expression, re.DOTALL))


def _is_wild(part: str) -> bool:
    return "*" in part or "?" in part


def _component(part: str) -> str:
    """Expression of one component; runs of `*` are one `*`, so that a pattern cannot make matching explode."""
    guard = r"(?!\.)" if part[0] in "*?" else ""
    special = {"*": "[^/]*", "?": "[^/]"}
    return guard + "".join(
        special.get(piece, re.escape(piece)) for piece in re.split(r"([*?])", re.sub(r"\*+", "*", part))
    )
