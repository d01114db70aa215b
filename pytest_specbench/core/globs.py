"""Matches deny and allow globs, which have only `*` and `?`, against commands that may hold unknown parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pytest_specbench.core.policy.words import ANY, GLOB, Word

_HEAD = re.compile(r"[^*? ]+")
"""What a glob begins with, where it is known."""


def could_match(glob: str, text: str) -> bool:
    """Whether `glob` matches `text` for some value of its unknown parts (`ANY`, `GLOB`)."""
    positions = _closure(glob, {0})
    for char in text:
        positions = _step(glob, positions, char)
        if not positions:
            return False
    return len(glob) in positions


def could_occur(glob: str, text: str, starts: Iterable[int]) -> bool:
    """Whether `glob` could match a part of `text` that begins at one of `starts` and ends where a word ends.

    A `GLOB` in `text` stands for a part of one word here, since each file name is a word of its own.
    """
    head = _HEAD.match(glob)
    if head and head[0] not in text and GLOB not in text and ANY not in text[:-1]:
        return False  # most texts end here, and a long one takes long below
    first = _closure(glob, {0})
    begins = frozenset(starts)
    positions: set[int] = set()
    for index, char in enumerate(text):
        if index in begins:
            positions = positions | first
        if not positions:
            continue
        positions = _within_word(glob, positions) if char == GLOB else _step(glob, positions, char)
        if len(glob) in positions and (char == ANY or glob.endswith("*") or _ends_word(text, index + 1)):
            return True
    return False


def _ends_word(text: str, index: int) -> bool:
    following = text[index : index + 1]
    return not following or not (following.isalnum() or following in "_-.")


def _within_word(glob: str, positions: set[int]) -> set[int]:
    reached = set(positions)
    for position in positions:
        end = glob.find(" ", position)
        reached.update(range(position, (len(glob) if end < 0 else end) + 1))
    return _closure(glob, reached)


def must_match(glob: str, text: str) -> bool:
    """Whether `glob` matches `text` whatever its unknown parts are: only a `*` covers one."""
    positions = _closure(glob, {0})
    for char in text:
        known = char not in (ANY, GLOB)
        positions = {
            at if glob[at] == "*" else at + 1
            for at in positions
            if at < len(glob) and (glob[at] == "*" or (known and glob[at] in ("?", char)))
        }
        positions = _closure(glob, positions)
    return len(glob) in positions


def _step(glob: str, positions: set[int], char: str) -> set[int]:
    """The positions in the glob after one more character of a text, unknown parts included."""
    if char in (ANY, GLOB):
        return set(range(min(positions), len(glob) + 1)) if positions else set()
    after = {at if glob[at] == "*" else at + 1 for at in positions if at < len(glob) and glob[at] in ("*", "?", char)}
    return _closure(glob, after)


def _closure(glob: str, positions: set[int]) -> set[int]:
    """A `*` may match nothing."""
    reached = set(positions)
    for position in positions:
        stars = len(glob[position:]) - len(glob[position:].lstrip("*"))
        reached.update(range(position, position + stars + 1))
    return reached


def spellings(words: Sequence[Word], *, may_vanish: bool) -> tuple[str, ...]:
    """The normalised texts of a command: its words joined by single spaces, as given and by the command's base name.

    `may_vanish`: for `could_match`, an unknown word takes the space before it along.
    """
    texts = [word.text for word in words]
    base = texts[0].rpartition("/")[2] if texts else ""
    return tuple(dict.fromkeys((_joined(texts, may_vanish), _joined([base, *texts[1:]], may_vanish))))


def _joined(texts: Sequence[str], may_vanish: bool) -> str:
    parts = [
        text if not index or (may_vanish and text.startswith(ANY)) else f" {text}" for index, text in enumerate(texts)
    ]
    return "".join(parts)
