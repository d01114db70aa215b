"""Text that came from somewhere else, made harmless and kept short: it may end in a terminal, a log or a report."""

from __future__ import annotations

import re
import unicodedata

LINE_LIMIT = 2_000
"""Most characters of one line: a path, a key, a list of names."""
TEXT_LIMIT = 20_000
"""Most characters of a text of several lines, for example a diff."""


_COMMAND = re.compile(r"(?<!\S)::(?=[A-Za-z])|##(?=\[|vso\[|teamcity\[)")
"""`::error::`, `::error file=x::`, `##[error]`, `##vso[...]`: GitHub, Azure and others read them from the log."""


def visible(text: str) -> str:
    """The text on one line, with everything that could steer a terminal or a parser shown as an escape.

    Control, format (bidirectional marks too), surrogate, private and unassigned characters become `\\x1b`, `\\u202e`
    and so on, and every kind of space becomes a plain one. The first character of what a CI service would take for a
    command in its log is shown as an escape, too.
    """
    return _COMMAND.sub(_defused, text if text.isprintable() else "".join(map(_shown, text)))


def _defused(command: re.Match[str]) -> str:
    return f"\\x{ord(command[0][0]):02x}{command[0][1:]}"


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode("ascii")


def shortened(text: str, limit: int) -> str:
    """At most about `limit` characters: what is left out of the middle is counted."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}[... {len(text) - 2 * half} characters left out ...]{text[-half:]}"


def one_line(text: str, limit: int = LINE_LIMIT) -> str:
    """The text on one line, shortened and visible."""
    return visible(shortened(text, limit))


def lines_of(text: str, limit: int = TEXT_LIMIT) -> str:
    """The text shortened and visible, with its lines (LF, CRLF) and tabs kept."""
    text = shortened(text, limit)
    return "\n".join("\t".join(map(visible, line.removesuffix("\r").split("\t"))) for line in text.split("\n"))


def counted(number: int, one: str, several: str) -> str:
    """So many of something, for example `1 problem`, `2 problems`."""
    return f"{number} {one if number == 1 else several}"
