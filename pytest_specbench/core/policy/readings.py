"""Text that some program may take for a command, read in each way that could make a denied command of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import ascii_letters, digits

from pytest_specbench.core.policy.words import ANY, GLOB, Unparsable

_EXPANSION = re.compile(r"`|\$(?=[A-Za-z_0-9{(\[@*#?!'\"$-])")
_QUOTES = re.compile(r"\\\n|['\"\\]")
_BETWEEN = re.compile(rf"[^\w./~*?+%@:,{ANY}{GLOB}-]+")
_BETWEEN_ALL = re.compile(rf"[^\w./~*?{ANY}{GLOB}-]+")
_BRACES = re.compile(r"([^\s{},]*)\{([^\s{}]*)\}([^\s{},]*)")
_SEQUENCE = re.compile(r"[A-Za-z0-9-]+\.\.")
_ALONE = re.compile(r"(?<![\w*?./\]-])\[([^\]\s]*)\](?![\w*?./\[-])")
_PATTERN = re.compile(r"\[[^\]\s]*\]|[*?]+")
_START = re.compile(rf"(?<![\w.~{GLOB}-])[^ ]|(?<![^ -])(?<=-)[^ -]")
_ATTACHED = re.compile(r"(?<![^ ])-[A-Za-z0-9]\w+")
_MOST_BRACES = 200


def expands(text: str) -> bool:
    """Whether a shell would put something else in place of a part of it."""
    return bool(_EXPANSION.search(text))


def readings(text: str, *, of_shell: bool) -> Iterator[str]:
    """The text in each way it may be read, ending in an unknown word, since a program may append some.

    Quotes may join or part words, and so may punctuation. `of_shell`: patterns and braces may be a shell's. Raises
    Unparsable for too many braces.
    """
    texts = [text]
    if of_shell:
        texts += [each for each in (_braced(text), _patterns(text)) if each != text]
    done: set[str] = set()
    for each in texts:
        joined = _QUOTES.sub("", each)
        parted = _QUOTES.sub(" ", each)
        for one in (joined, _BETWEEN.sub(" ", joined), _BETWEEN_ALL.sub(" ", joined), _BETWEEN_ALL.sub(" ", parted)):
            reading = f"{' '.join(one.split())} {ANY}"
            if reading not in done:
                done.add(reading)
                yield reading


def starts(reading: str) -> set[int]:
    """Where a command may begin: at each word, path component and value, also one attached to an option's letter."""
    found = {match.start() for match in _START.finditer(reading)}
    for match in _ATTACHED.finditer(reading):
        found.update(range(match.start() + 2, match.end()))
    found.discard(len(reading) - 1)  # the unknown word at the end is no beginning
    return found


def _patterns(text: str) -> str:
    """The text with its patterns as such. In brackets that stand alone, as in JSON, is a name of one character."""
    return _PATTERN.sub(GLOB, _ALONE.sub(lambda match: " ".join(_one_of(match[1])), text))


def _one_of(inside: str) -> str:
    return ascii_letters + digits if re.search(r"[!^:-]", inside) else inside


def _braced(text: str) -> str:
    """The text with every word in braces in place of the braces, the innermost first."""
    for _ in range(_MOST_BRACES):
        match = _BRACES.search(text)
        if match is None:
            return text
        before, inside, after = match.groups()
        if _SEQUENCE.match(inside):
            words = before + GLOB + after
        elif "," in inside:
            word = re.split(r"\s", text[: match.start()])[-1]
            between = "," if word.count("{") > word.count("}") else " "
            words = between.join(before + each + after for each in inside.split(","))
        else:
            words = f"{before} {inside} {after}"
        text = text[: match.start()] + words + text[match.end() :]
    raise Unparsable("it has too many braces")
