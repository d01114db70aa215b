"""The commands of a shell text: their words, redirections and variables, and what is said of their input."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pytest_specbench.core.policy.words import Word

_CODE_IN_NUMBER = re.compile(r"[$`]|\\[0-7xu]")
"""What a text needs to have a substitution in it, or to have one made by `printf`."""


@dataclass(frozen=True)
class Redirect:
    """A redirection to or from a file. `data` is the text of a here-document or here-string, null for a file."""

    writes: bool
    target: Word
    data: Word | None = None
    stdin: bool = True
    """It is standard input that is redirected, where `writes` is false."""

    @property
    def feeds(self) -> bool:
        """The text itself says what is read here. A file is read as it will be, like a script that is run."""
        return not self.writes and (self.data is not None or self.target.text.startswith("/dev/fd/"))


@dataclass(frozen=True)
class Segment:
    """One simple command: its words, its redirections, and the variables that it sets."""

    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...] = ()
    assignments: tuple[tuple[str, Word], ...] = ()
    transparent: bool = False
    """A wrapper such as `env` or `sh -c`: what it runs is a segment of its own, and is what a mode judges."""
    unwrapped: bool = False
    """Every word of it is accounted for: what it runs is a segment of its own."""
    fed: bool = False
    """Its standard input may come from another command of the text, or from a here-document around it."""


def may_become_code(segment: Segment) -> bool:
    """Whether a variable could get a text from here in which bash's arithmetic would run a command."""
    return any(_CODE_IN_NUMBER.search(text) for text in _texts(segment))


def _texts(segment: Segment) -> list[str]:
    """Everything that a variable could get its value from."""
    data = [redirect.data for redirect in segment.redirects if redirect.data is not None]
    return [word.text for word in (*segment.words, *(value for _, value in segment.assignments), *data)]


def mark_fed(found: list[Segment], *, functions: bool) -> list[Segment]:
    """Mark every command as fed where it is unknown which are: a group, an `exec` or a function is given input."""
    inputs = [each for each in found if any(redirect.feeds for redirect in each.redirects)]
    groups = [each for each in inputs if not each.words or each.words[0].text == "exec"]
    if groups or (functions and (inputs or any(each.fed for each in found))):
        return [replace(each, fed=True) for each in found]
    return found
