"""As much of Markdown as a check needs: which lines are prose, which are code or comment, and which section holds them.

Everything is linear in the size of the text, and nothing raises: a hostile document yields problems, no exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

MAX_CHARACTERS = 2_000_000
"""A document that is longer is not looked at."""
MAX_LINE = 20_000
"""What is beyond this column of a line is not looked at."""

_FENCE = re.compile(r"^\s*(?P<mark>`{3,}|~{3,})(?P<info>.*)$")
_HEADING = re.compile(r"^ {0,3}(?P<hashes>#{1,6})[ \t]+(?P<title>.*)$")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]{1,999}\]:\s")
_RULE = re.compile(r"^\s*([-*_])(?:\s*\1){2,}\s*$")
_BARE_LABEL = re.compile(r"^\s*(?:[-*+]\s+)?(?:\*\*[^*]+\*\*\s*:?|\*\*[^*]+:\*\*)\s*$")
_TABLE_RULE = re.compile(r"^[\s|:-]+$")


class Kind(Enum):
    """What a line is to a reader."""

    PROSE = "prose"
    CODE = "code"
    FENCE = "fence"


@dataclass(frozen=True)
class Line:
    """One line of a document. `visible` is what a reader sees: without comments; `comment` is what was in them."""

    number: int
    kind: Kind
    visible: str
    comment: str = ""

    @cached_property
    def prose(self) -> str:
        """The visible text with inline code blanked out, so that columns stay; empty in a code block."""
        return without_code(self.visible) if self.kind is Kind.PROSE else ""

    @property
    def says_something(self) -> bool:
        """Whether the line is content: no heading, no rule, no label without a value, no fence mark."""
        if self.kind is Kind.FENCE or not self.visible.strip():
            return False
        if self.kind is Kind.CODE:
            return True
        idle = (_HEADING, _RULE, _BARE_LABEL, _TABLE_RULE, _DEFINITION)
        return not any(pattern.match(self.visible) for pattern in idle)


@dataclass(frozen=True)
class Section:
    """A heading and the lines up to the next heading of the same or a higher level."""

    number: int
    level: int
    title: str
    lines: tuple[Line, ...]

    @property
    def empty(self) -> bool:
        """Nothing in it says anything."""
        return not any(line.says_something for line in self.lines)


@dataclass(frozen=True)
class Document:
    """A parsed document. `flaws` are the reasons, if any, why it is no proper text at all."""

    lines: tuple[Line, ...]
    sections: tuple[Section, ...]
    flaws: tuple[str, ...] = ()

    def named(self, title: str, level: int) -> list[Section]:
        """The sections whose plain title is `title`, whatever its case."""
        wanted = plain_title(title)
        return [section for section in self.sections if section.level == level and plain_title(section.title) == wanted]


def plain_title(title: str) -> str:
    """A heading without its `*(mandatory)*` remark and emphasis, in lower case."""
    bare = re.sub(r"\*?\((?:mandatory|include if[^)]*|optional[^)]*)\)\*?", "", title, flags=re.IGNORECASE)
    return " ".join(bare.replace("*", "").replace("_", " ").split()).casefold().rstrip(": ")


def without_code(line: str) -> str:
    """The line with its inline code, from a run of backticks to the next of the same length, blanked out."""
    runs = [match.span() for match in re.finditer("`+", line)]
    following: dict[int, int] = {}
    partner: list[int | None] = [None] * len(runs)
    for index in range(len(runs) - 1, -1, -1):
        length = runs[index][1] - runs[index][0]
        partner[index] = following.get(length)
        following[length] = index
    pieces: list[str] = []
    index = at = 0
    while index < len(runs):
        closing = partner[index]
        if closing is not None:
            start, end = runs[index][0], runs[closing][1]
            pieces += [line[at:start], " " * (end - start)]
            at, index = end, closing
        index += 1
    return "".join([*pieces, line[at:]])


def parse(text: str) -> Document:
    """Split `text` into lines and sections; what is no text is told in `flaws`, and then there are no lines."""
    flaws = list(_flaws(text))
    if flaws:
        return Document((), (), tuple(flaws))
    lines = tuple(_lines(text.removeprefix("\ufeff")))
    return Document(lines, tuple(_sections(lines)))


def _flaws(text: str) -> Iterator[str]:
    if len(text) > MAX_CHARACTERS:
        yield f"The document is {len(text)} characters long; more than {MAX_CHARACTERS} are not read."
        return
    if not text.removeprefix("\ufeff").strip():
        yield "The document is empty."
        return
    strange = re.search(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]", text)
    if strange:
        number = text.count("\n", 0, strange.start()) + 1
        yield f"Line {number}: the document is not plain text; it contains the character U+{ord(strange.group()):04X}."
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE:
            yield f"Line {number}: the line is {len(line)} characters long; at most {MAX_LINE} are expected."
            return


def _lines(text: str) -> Iterator[Line]:
    fence = ""
    in_comment = False
    for number, raw in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if fence:
            closing = _FENCE.match(raw)
            ends = closing is not None and _closes(closing, fence)
            yield Line(number, Kind.FENCE if ends else Kind.CODE, raw)
            fence = "" if ends else fence
            continue
        opening = None if in_comment else _FENCE.match(raw)
        if opening and not (opening["mark"][0] == "`" and "`" in opening["info"]):
            fence = opening["mark"]
            yield Line(number, Kind.FENCE, raw)
            continue
        visible, comment, in_comment = _split_comments(raw, in_comment)
        yield Line(number, Kind.PROSE, visible, comment)


def _closes(mark: re.Match[str], fence: str) -> bool:
    return mark["mark"][0] == fence[0] and len(mark["mark"]) >= len(fence) and not mark["info"].strip()


def _split_comments(raw: str, in_comment: bool) -> tuple[str, str, bool]:
    """What is outside and what is inside of HTML comments, and whether one is open at the end of the line."""
    visible: list[str] = []
    comment: list[str] = []
    masked = without_code(raw)
    at = 0
    while at < len(raw):
        where = raw.find("-->", at) if in_comment else masked.find("<!--", at)
        end = len(raw) if where < 0 else where
        (comment if in_comment else visible).append(raw[at:end])
        if where < 0:
            break
        at = end + (3 if in_comment else 4)
        in_comment = not in_comment
    return "".join(visible), " ".join(comment), in_comment


def _sections(lines: tuple[Line, ...]) -> Iterator[Section]:
    found = [
        (index, len(match["hashes"]), _bare_heading(match["title"]))
        for index, line in enumerate(lines)
        if line.kind is Kind.PROSE and (match := _HEADING.match(line.visible))
    ]
    ends = _ends([level for _, level, _ in found], [index for index, _, _ in found], len(lines))
    for (index, level, title), end in zip(found, ends, strict=True):
        yield Section(lines[index].number, level, title, lines[index + 1 : end])


def _bare_heading(title: str) -> str:
    """A heading without the row of `#` that may close it."""
    title = title.strip()
    bare = title.rstrip("#")
    return bare.rstrip() if bare != title and bare[-1:] in ("", " ", "\t") else title


def _ends(levels: list[int], starts: list[int], total: int) -> list[int]:
    """Index of the line after each section; computed from the back, so that many headings cost no more than few."""
    ends = [total] * len(levels)
    next_at_most = [total] * 7
    for position in range(len(levels) - 1, -1, -1):
        level = levels[position]
        ends[position] = min(next_at_most[1 : level + 1])
        next_at_most[level] = starts[position]
    return ends
