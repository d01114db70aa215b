"""Text that came from somewhere else, made safe to show and measured in terminal cells."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from pytest_specbench.core.text import visible


def printable(text: str, encoding: str = "utf-8") -> str:
    """The text on one line, with everything that could steer a terminal or a parser shown as an escape.

    Control, format (bidirectional marks too), surrogate, private and unassigned characters become `\\x1b`, `\\u202e`
    and so on, every kind of space becomes a plain one, and what `encoding` cannot hold becomes an escape as well.
    The scenario, the agent and the sandbox choose these strings, so nothing of theirs is shown without it.
    """
    return visible(text).encode(encoding, "backslashreplace").decode(encoding)


def printable_lines(text: str, encoding: str = "utf-8") -> list[str]:
    """The lines of a text, each printable; only LF and CRLF end a line, tabs become spaces, outer blank lines go."""
    lines = [line.removesuffix("\r").expandtabs(4).rstrip(" ") for line in text.split("\n")]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return [printable(line, encoding) for line in lines]


def cell_width(text: str) -> int:
    """How many terminal cells a printable text takes: wide characters two, combining ones none."""
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.category(character) in {"Mn", "Me"} or "\u1160" <= character <= "\u11ff":
        return 0  # Hangul vowels and finals join the syllable before them, which already counts as two
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def pad(text: str, width: int, *, right: bool = False) -> str:
    """The text with spaces up to `width` cells, after it or, with `right`, before it; never cut."""
    spaces = " " * (width - cell_width(text))
    return spaces + text if right else text + spaces


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines whose columns stand below each other; no rows give no lines."""
    if not rows:
        return []
    widths = [max(map(cell_width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip(" ") for row in rows]


def cut(text: str, width: int) -> str:
    """The text in at most `width` cells; `...` ends what was cut."""
    if cell_width(text) <= width:
        return text
    room, kept = width - 3, ""
    for character in text:
        room -= _cells(character)
        if room < 0:
            break
        kept += character
    return (kept + "...")[: max(width, 0)]


def wrap(text: str, width: int, *, indent: str = "", encoding: str = "utf-8") -> list[str]:
    """Printable lines of at most `width` cells, each after `indent`; a line keeps its own indentation.

    A word that is longer than a line is not broken, so that paths and commands can be copied.
    """
    wrapped: list[str] = []
    for line in printable_lines(text, encoding):
        margin = indent + " " * (len(line) - len(line.lstrip(" ")))
        current = ""
        for word in line.split():
            if current and cell_width(margin) + cell_width(current) + 1 + cell_width(word) > width:
                wrapped.append(margin + current)
                current = ""
            current = f"{current} {word}" if current else word
        wrapped.append(margin + current if current else "")
    return wrapped


def wants_color(environ: Mapping[str, str], *, is_tty: bool) -> bool:
    """Whether to colour where pytest does not decide: NO_COLOR wins, then FORCE_COLOR, then a terminal, not dumb."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return is_tty and environ.get("TERM") != "dumb"


def encodes(text: str, encoding: str) -> bool:
    """Whether a stream of that encoding can hold the text."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
