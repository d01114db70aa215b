"""Words of shell text after quote removal, with what is only known at run time marked as such."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

ANY = "\ufdd0"
"""In a word's text: something that is only known when it runs, perhaps nothing, perhaps several words."""
GLOB = "\ufdd1"
"""In a word's text: `*` or `?` that the shell replaces by file names; never a slash."""
_BRACKET = "\ufdd2"
_BRACE = "\ufdd3"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PARAMETER = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|[0-9?$!@*#-])")
_BRACED = re.compile(
    r"\$\{(?:#?[A-Za-z_][A-Za-z0-9_]*|#?[0-9@*]"
    r"|(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*])(?::?[-+?]|##?|%%?|/)[A-Za-z0-9_./:@+,*? -]*"
    r"|[A-Za-z_][A-Za-z0-9_]*:[0-9]+(?::[0-9]+)?)\}"
)
_ARITHMETIC = re.compile(r"[A-Za-z0-9_+*/%<>=!&|^~?:, ()$\t-]*")
_MAX_DEPTH = 25


class Unparsable(Exception):  # noqa: N818 - not an error of ours: it says what the text is
    """The text is not understood well enough to say which commands it runs; the message says why."""


@dataclass(frozen=True)
class Word:
    """One word after quote removal. `text` may hold `ANY` and `GLOB`; `bare` is what stood before the first quote."""

    text: str
    bare: str = ""

    @property
    def literal(self) -> bool:
        """The text is exactly what the command gets."""
        return ANY not in self.text and GLOB not in self.text


def reserved_character(text: str) -> bool:
    """Whether the text has a control character, or one that marks something in a word here."""
    return any((char < " " and char not in "\t\n") or char in (ANY, GLOB, _BRACKET, _BRACE, "\x7f") for char in text)


class WordReader(ABC):
    """Reads the words of one text; `pos` is where it stands. The commands of substitutions are left to `nested`."""

    def __init__(self, text: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise Unparsable("it is nested too deeply")
        self.text = text
        self.pos = 0
        self.depth = depth
        self.arithmetic = False
        """Whether there is arithmetic, in which bash evaluates variables."""

    @abstractmethod
    def nested(self, *, fed: bool = False) -> None:
        """Read the commands up to a `)`; the position is behind the `(`. `fed`: they read what another one writes."""

    @abstractmethod
    def commands_of(self, code: str) -> None:
        """Read the commands of the text between backticks."""

    def deeper(self) -> None:
        """Go one level of nesting down. Raises Unparsable when that is too deep."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise Unparsable("it is nested too deeply")

    def peek(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.pos : self.pos + 1]

    def word(self) -> Word:
        """Read one word. Raises Unparsable where there is none."""
        parts: list[str] = []
        bare: str | None = None
        start = self.pos
        while (char := self.peek()) and char not in " \t\n;&|)":
            if char == "(" or (char in "<>" and not self.text.startswith("(", self.pos + 1)):
                break
            if self.text.startswith("\\\n", self.pos):
                self.pos += 2
                continue
            if bare is None and char in "'\"\\$`<>":
                bare = "".join(parts)
            parts.append(self._piece(char, first=not parts))
        if self.pos == start:
            raise Unparsable("a word is missing")
        if self.peek() == "(" and parts and not NAME.fullmatch("".join(parts)):
            raise Unparsable("a '(' inside a word")
        return _finished("".join(parts), bare)

    def _piece(self, char: str, *, first: bool) -> str:
        special: dict[str, Callable[[], str]] = {
            "'": self._single_quoted,
            '"': self._quoted,
            "\\": self._escaped,
            "$": self._dollar,
            "`": self._backticks,
            "<": self._process,
            ">": self._process,
        }
        if char in special:
            return special[char]()
        if char.isspace():
            raise Unparsable("it has an unusual space")
        self.pos += 1
        if char == "~" and (first or self.text[self.pos - 2] in "=:"):
            return ANY
        return {"*": GLOB, "?": GLOB, "[": _BRACKET, "{": _BRACE}.get(char, char)

    def _single_quoted(self) -> str:
        end = self.text.find("'", self.pos + 1)
        if end < 0:
            raise Unparsable("a ' is missing")
        text = self.text[self.pos + 1 : end]
        self.pos = end + 1
        return text

    def _quoted(self) -> str:
        self.pos += 1
        return self.double_quoted(ends_at_quote=True)

    def _escaped(self) -> str:
        text = self.text[self.pos + 1 : self.pos + 2]
        if not text:
            raise Unparsable("it ends in a backslash")
        self.pos += 2
        return text

    def double_quoted(self, *, ends_at_quote: bool) -> str:
        """Read as between double quotes, up to the closing quote, or to the end of a here-document's body."""
        parts: list[str] = []
        while char := self.peek():
            if char == '"' and ends_at_quote:
                self.pos += 1
                return "".join(parts)
            following = self.text[self.pos + 1 : self.pos + 2]
            if char == "\\" and following and following in ('$`\\"' if ends_at_quote else "$`\\"):
                parts.append(following)
                self.pos += 2
            elif self.text.startswith("\\\n", self.pos):
                self.pos += 2
            elif char == "$" and following not in ("'", '"'):
                parts.append(self._dollar(quoted=True))
            elif char == "`":
                parts.append(self._backticks(quoted=ends_at_quote))
            else:
                parts.append(char)
                self.pos += 1
        if ends_at_quote:
            raise Unparsable('a " is missing')
        return "".join(parts)

    def _dollar(self, *, quoted: bool = False) -> str:
        following = self.text[self.pos + 1 : self.pos + 2]
        if self.text.startswith("$((", self.pos):
            return self._arithmetic_expansion()
        if following == "(":
            self.pos += 2
            self.nested()
            return ANY
        match = (_BRACED if following == "{" else _PARAMETER).match(self.text, self.pos)
        if match:
            self.pos = match.end()
            return ANY
        if (
            following in ("{", "[")
            or (following in ("'", '"') and not quoted)
            or self.text.startswith("$\\\n", self.pos)
        ):
            raise Unparsable(f"`${following}` of this form is not modelled")
        self.pos += 1
        return "$"

    def _arithmetic_expansion(self) -> str:
        inner = _ARITHMETIC.match(self.text, self.pos + 3)
        level = 0
        for offset, char in enumerate(inner[0] if inner else ""):
            level += (char == "(") - (char == ")")
            if level < 0:
                end = self.pos + 3 + offset
                if self.text.startswith("))", end) and "$(" not in self.text[self.pos + 3 : end]:
                    self.pos = end + 2
                    self.arithmetic = True
                    return ANY
                break
        raise Unparsable("`$((` of this form is not modelled")

    def _backticks(self, *, quoted: bool = False) -> str:
        code: list[str] = []
        self.pos += 1
        while (char := self.peek()) != "`":
            if not char:
                raise Unparsable("a ` is missing")
            following = self.text[self.pos + 1 : self.pos + 2]
            if char == "\\" and following and following in ('$`\\"' if quoted else "$`\\"):
                code.append(following)
                self.pos += 2
            else:
                code.append(char)
                self.pos += 1
        self.pos += 1
        self.commands_of("".join(code))
        return ANY

    def _process(self) -> str:
        fed = self.peek() == ">"
        self.pos += 2
        self.nested(fed=fed)
        return "/dev/fd/63"


def _finished(text: str, bare: str | None) -> Word:
    """Decide what an unquoted `[` or `{` makes of the word; from there on it is only known when it runs."""
    if re.search(_BRACE + r".*(?:,|\.\.).*\}", text, re.DOTALL):
        return Word(ANY + GLOB if GLOB in text or _BRACKET in text else ANY)
    text = text.replace(_BRACE, "{")
    if text not in (_BRACKET, _BRACKET * 2):
        head, bracket, _ = text.partition(_BRACKET)
        text = head + ANY if bracket else text
    text = text.replace(_BRACKET, "[")
    return Word(text, text if bare is None else bare.replace(_BRACE, "{").replace(_BRACKET, "["))
