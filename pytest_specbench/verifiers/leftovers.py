"""What Spec Kit's templates leave in a document that nobody finished: placeholders, samples and instructions."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from pytest_specbench.verifiers.markdown import Document, Kind, Line

_ANYWHERE = re.compile(
    r"\[FEATURE(?: NAME)?\]|\[###[^\]\n]{0,40}\]|\[REMOVE IF UNUSED\]|\$ARGUMENTS\b|\bTXXX\b|\bSAMPLE (?:TASKS|ITEMS)\b"
    r"|\[same as backend above\]|\[platform-specific structure\b|\bOption [123]: (?:Single project|Web app|Mobile)"
)
"""Markers that are no part of a finished document, not even in its code blocks."""

_INSTRUCTION = re.compile(r"\bACTION REQUIRED\b|\bDO NOT keep these sample\b")
"""Instructions of a template to whoever fills it in; they come as comments."""

_WORDS = frozenset(
    (
        "DATE",
        "FEATURE",
        "link",
        "action",
        "endpoint",
        "name",
        "file",
        "location",
        "language",
        "framework",
        "service",
        "entity",
        "title",
        "Title",
        "Service",
        "Entity",
        "entity1",
        "entity2",
        "Entity1",
        "Entity2",
        "endpoint/feature",
        "TODO",
        "TBD",
    )
)
"""Placeholders of one word, as the templates spell them."""

_REFERENCE = re.compile(r"\b(?:FR|SC|NFR|T)-?\d{3,}\b|\bUS\d+\b|^(?:[Ss]ee|[Pp]er|cf|sic|[Oo]ptional)\b")
_DEFINITION = re.compile(r"^ {0,3}\[([^\]\n]{1,999})\]:")
_SAMPLE_CALL = re.compile(r"^\s*Task:")


def leftovers(document: Document) -> list[str]:
    """The left-over markers of a document, one sentence each, in the order of the lines."""
    found = [*_markers(document), *_placeholders(document)]
    unique = dict.fromkeys(found)
    return [
        f"Line {number}: {_show(marker)} is left over from the template; replace or remove it."
        for number, marker in sorted(unique, key=lambda entry: entry[0])
    ]


def _show(marker: str) -> str:
    flat = " ".join(marker.split())
    return f"'{flat if len(flat) <= 80 else flat[:77] + '...'}'"


def _markers(document: Document) -> Iterator[tuple[int, str]]:
    for line in document.lines:
        for match in _ANYWHERE.finditer(f"{line.visible} {line.comment}"):
            yield line.number, match.group()
        if line.kind is Kind.PROSE:
            for match in _INSTRUCTION.finditer(f"{line.prose} {line.comment}"):
                yield line.number, match.group()


def _placeholders(document: Document) -> Iterator[tuple[int, str]]:
    """Bracketed text that is neither link, checkbox, label, footnote nor code."""
    defined = {match[1].casefold() for line in document.lines if (match := _DEFINITION.match(line.prose)) is not None}
    for paragraph in _paragraphs(document):
        text = "\n".join(shown for _, shown in paragraph)
        line_starts = list(accumulate((len(shown) + 1 for _, shown in paragraph), initial=0))
        for start, end in _groups(text):
            if _is_placeholder(text, start, end, defined):
                yield paragraph[bisect_right(line_starts, start) - 1][0], text[start : min(end, start + 200)]


def _paragraphs(document: Document) -> Iterator[list[tuple[int, str]]]:
    """Runs of lines within which a bracket may close; a list item and a heading begin anew."""
    block: list[tuple[int, str]] = []
    for line in document.lines:
        shown = _searched(line)
        if not shown.strip() or re.match(r"\s*(?:[-*+]|\d+[.)]|#{1,6}|>|\|)\s", shown):
            if block:
                yield block
            block = []
        if shown.strip():
            block.append((line.number, shown))
    if block:
        yield block


def _searched(line: Line) -> str:
    """What of a line is searched: prose, and the sample calls which a tasks document shows in a code block."""
    return line.visible if line.kind is Kind.CODE and _SAMPLE_CALL.match(line.visible) else line.prose


def _groups(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of every balanced pair of brackets, nested ones too."""
    open_at: list[int] = []
    for match in re.finditer(r"\\.|[\[\]]", text):
        if match.group() == "[":
            open_at.append(match.start())
        elif match.group() == "]" and open_at:
            yield open_at.pop(), match.end()


def _is_placeholder(text: str, start: int, end: int, defined: set[str]) -> bool:
    inside = " ".join(text[start + 1 : min(end - 1, start + 400)].split())
    before, after = text[max(start - 1, 0) : start], text[end : end + 1]
    if after in ("(", "[") or before in ("]", "!"):
        return False
    if inside.casefold() in defined or inside.startswith("NEEDS CLARIFICATION"):
        return False
    if inside in _WORDS:
        return True
    if not re.match(r"[A-Za-z]", inside) or _REFERENCE.search(inside):
        return False
    several_words = any(len(part.split()) > 1 for part in inside.split(","))
    return several_words and not before.isalnum()
