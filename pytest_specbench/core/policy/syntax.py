"""Shell text to the commands it would run, or "not understood". It takes only what bash and dash read alike.

The parsers on offer did not fit: bashlex is under the GPL, and an editor's grammar (tree-sitter) guesses where a fence
must refuse: it overlooks, for one, a substitution in backticks inside of a here-document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from pytest_specbench.core.policy.segments import Redirect, Segment, mark_fed, may_become_code
from pytest_specbench.core.policy.words import ANY, NAME, Unparsable, Word, WordReader, reserved_character

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")
_REDIRECT = re.compile(r"<<<|<<-|<<|<>|<&|>>|>\||>&|<|>")
_SKIPPED = frozenset({"!", "{", "}", "if", "then", "elif", "else", "fi", "while", "until", "do", "done"})
_REFUSED = frozenset({"case", "select", "function", "coproc", "esac"})


@dataclass
class _Pending:
    words: list[Word] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    assignments: list[tuple[str, Word]] = field(default_factory=list)
    closed: bool = False
    """After `&>`, where bash and dash disagree about the words that follow."""
    fed: bool = False


def parse(text: str, depth: int = 0) -> list[Segment]:
    """Return every simple command of `text`, those of substitutions and subshells included. Raises Unparsable."""
    if reserved_character(text):
        raise Unparsable("it has a control character")
    scanner = _Scanner(text, depth)
    scanner.commands(closing="")
    if scanner.arithmetic and any(may_become_code(each) for each in scanner.found):
        raise Unparsable("arithmetic could run the code in a variable")
    return mark_fed(scanner.found, functions=scanner.functions)


class _Scanner(WordReader):
    """Reads one text; `found` collects the segments."""

    def __init__(self, text: str, depth: int) -> None:
        super().__init__(text, depth)
        self.found: list[Segment] = []
        self._heredocs: list[tuple[_Pending, int, str, bool, bool]] = []
        """Owner, index of its redirect, delimiter, whether quoted, whether tabs are stripped."""
        self._waiting: list[_Pending] = []
        self.functions = False
        """Whether a function is defined."""
        self._fed = False
        """A pipe leads to the next command."""
        self._fed_on = False
        """A pipe leads to a group of commands; where it ends is not looked for."""

    def commands(self, closing: str) -> None:
        """Read commands up to the unquoted `closing` (a `)` or the end of the text)."""
        current = _Pending()
        while True:
            self._blanks()
            char = self.peek()
            if char == "":
                if closing:
                    raise Unparsable(f"a {closing!r} is missing")
                self._end(current)
                if self._heredocs:
                    raise Unparsable("a here-document has no end")
                return
            if char == closing:
                self._end(current)
                if self._heredocs:
                    raise Unparsable("a here-document has no end")
                self.pos += 1
                return
            current = self._one(current, char)

    def _one(self, current: _Pending, char: str) -> _Pending:
        """Read one token; return the command that goes on after it."""
        if char == "#":
            end = self.text.find("\n", self.pos)
            self.pos = len(self.text) if end < 0 else end
        elif char == "\n":
            self.pos += 1
            current = self._end(current)
            self._read_heredocs()
        elif self.text.startswith("&>", self.pos):
            self.pos += 3 if self.text.startswith("&>>", self.pos) else 2
            self._redirect_to(current, writes=True)
            current.closed = True
        elif char == "|" and not self.text.startswith("||", self.pos):
            self.pos += 2 if self.text.startswith("|&", self.pos) else 1
            current = self._end(current)
            self._fed = True
        elif char in ";&|":
            self.pos += 2 if self.text.startswith("||", self.pos) else 1
            current = self._end(current)
        elif char == "(":
            current = self._parenthesis(current)
        elif char == ")":
            raise Unparsable("a ')' stands alone")
        elif char in "<>":
            self._redirection(current)
        else:
            self._word_token(current)
        return current

    # -- tokens ----------------------------------------------------------------------------------------------------

    def _blanks(self) -> None:
        while True:
            if self.peek() in (" ", "\t"):
                self.pos += 1
            elif self.text.startswith("\\\n", self.pos):
                self.pos += 2
            else:
                return

    def _end(self, current: _Pending) -> _Pending:
        """The command is complete: keep it, and begin the next."""
        words, start = current.words, 0
        if words and words[0].bare == words[0].text == "for":
            name = words[1].text if len(words) > 1 else ""
            if not NAME.fullmatch(name) or (len(words) > 2 and words[2].text != "in"):
                raise Unparsable("a `for` of this form")
            current.assignments += [(name, Word(ANY)), *((name, word) for word in words[3:])]
            start = len(words)
            self._fed_on = self._fed_on or self._fed
        if words[start:] or current.redirects or current.assignments:
            here = any(owner is current for owner, *_ in self._heredocs)
            if here:
                self._waiting.append(current)
            current.words = words[start:]
            current.fed = self._fed or self._fed_on
            self._fed = False
            if not here:
                self._keep(current)
        return _Pending()

    def _keep(self, done: _Pending) -> None:
        self.found.append(Segment(tuple(done.words), tuple(done.redirects), tuple(done.assignments), fed=done.fed))

    def _word_token(self, current: _Pending) -> None:
        if current.closed:
            raise Unparsable("words after `&>` mean different things to different shells")
        word = self.word()
        if self.peek() in ("<", ">") and word.bare == word.text:
            if word.text.isascii() and word.text.isdigit():
                self._redirection(current, number=word.text)
                return
            if word.text.startswith("{"):
                raise Unparsable("a redirection of this form is not modelled")
        if not current.words:
            if word.bare == word.text and not current.assignments and not current.redirects:
                if word.text in _SKIPPED:
                    self._fed_on = self._fed_on or self._fed
                    return
                if word.text in _REFUSED:
                    raise Unparsable(f"`{word.text}` is not modelled")
            assignment = _ASSIGNMENT.match(word.bare)
            if assignment:
                if self.peek() == "(":
                    raise Unparsable("arrays are not modelled")
                added = ANY if assignment[0].endswith("+=") else ""
                current.assignments.append((assignment[1], Word(added + word.text[assignment.end() :])))
                return
        current.words.append(word)

    def _parenthesis(self, current: _Pending) -> _Pending:
        self.pos += 1
        if self.peek() == "(":
            raise Unparsable("`((` is not modelled")
        if not (current.words or current.assignments or current.redirects or current.closed):
            self._fed_on = self._fed_on or self._fed
            self.nested()
            return _Pending()
        self._blanks()
        single = len(current.words) == 1 and not current.assignments and not current.redirects
        if self.peek() == ")" and single and NAME.fullmatch(current.words[0].bare):
            self.pos += 1
            self.functions = True
            return _Pending()
        raise Unparsable("a '(' inside a command")

    def nested(self, *, fed: bool = False) -> None:
        if self._heredocs:
            raise Unparsable("a substitution on the line of a here-document")
        self.deeper()
        before = self._fed
        self._fed_on = self._fed_on or fed
        self.commands(closing=")")
        self._fed = before
        self.depth -= 1

    def commands_of(self, code: str) -> None:
        inner = self._inner(code)
        inner.commands(closing="")
        self._adopt(inner)

    def _inner(self, code: str) -> _Scanner:
        inner = _Scanner(code, self.depth + 1)
        inner._fed, inner._fed_on = self._fed, self._fed_on
        return inner

    # -- redirections ----------------------------------------------------------------------------------------------

    def _redirection(self, current: _Pending, number: str = "") -> None:
        operator = _REDIRECT.match(self.text, self.pos)
        if operator is None:
            raise Unparsable("a redirection of an unknown form")
        kind = operator[0]
        if kind in ("<", ">") and self.text.startswith("(", self.pos + 1):
            self._word_token(current)  # process substitution is a word
            return
        self.pos = operator.end()
        stdin = number in ("", "0")
        if kind in ("<<", "<<-"):
            self._heredoc_start(current, strip=kind == "<<-", stdin=stdin)
        elif kind == "<<<":
            self._blanks()
            current.redirects.append(Redirect(False, Word(""), data=self.word(), stdin=stdin))
        elif kind in ("<&", "<>") or (kind == ">&" and number == "0"):
            raise Unparsable(f"`{number}{kind}` is not modelled")
        else:
            self._redirect_to(current, writes=kind != "<", descriptor=kind == ">&")

    def _redirect_to(self, current: _Pending, *, writes: bool, descriptor: bool = False) -> None:
        self._blanks()
        target = self.word()
        if descriptor and re.fullmatch(r"[0-9]+-?|-", target.text):
            return
        current.redirects.append(Redirect(writes, target))

    def _heredoc_start(self, current: _Pending, *, strip: bool, stdin: bool) -> None:
        self._blanks()
        word = self.word()
        if not word.literal or not word.text or "\n" in word.text:
            raise Unparsable("a here-document whose end is not a plain word")
        current.redirects.append(Redirect(False, Word(""), data=Word(""), stdin=stdin))
        self._heredocs.append((current, len(current.redirects) - 1, word.text, word.bare != word.text, strip))

    def _read_heredocs(self) -> None:
        """Read the bodies of the here-documents that began on the line that ended."""
        pending, self._heredocs = self._heredocs, []
        for owner, index, end, quoted, strip in pending:
            lines: list[str] = []
            while True:
                if self.pos >= len(self.text):
                    raise Unparsable(f"the here-document has no line {end!r}")
                stop = self.text.find("\n", self.pos)
                stop = len(self.text) if stop < 0 else stop
                line = self.text[self.pos : stop]
                self.pos = stop + 1
                line = line.lstrip("\t") if strip else line
                if line == end:
                    if not quoted and lines and (len(lines[-1]) - len(lines[-1].rstrip("\\"))) % 2:
                        raise Unparsable("a here-document with a continued line before its end")
                    break
                lines.append(line)
            body = "".join(f"{line}\n" for line in lines)
            data = Word(body) if quoted else Word(self._expanded(body))
            owner.redirects[index] = replace(owner.redirects[index], data=data)
        for owner in self._waiting:
            self._keep(owner)
        self._waiting = []

    def _expanded(self, body: str) -> str:
        inner = self._inner(body)
        text = inner.double_quoted(ends_at_quote=False)
        self._adopt(inner)
        return text

    def _adopt(self, inner: _Scanner) -> None:
        self.found += inner.found
        self.arithmetic = self.arithmetic or inner.arithmetic
        self.functions = self.functions or inner.functions
