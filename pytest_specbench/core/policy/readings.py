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
_BRACES = re.compile(r"\{([^\s{}]*)\}")
_BESIDE_BRACES = re.compile(r"[^\s{},]*")
_SEQUENCE = re.compile(r"[A-Za-z0-9-]+\.\.")
_BEFORE, _BEHIND = re.compile(r"[\w*?./\]-]"), re.compile(r"[\w*?./\[-]")
"""What stands beside brackets that are a part of a name."""
_SPACE = re.compile(r"\s|\Z")
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
    done: list[str] = []
    end = 0
    for start, behind in _brackets(text):
        alone = not _BEFORE.match(text[start - 1 : start]) and not _BEHIND.match(text, behind)
        done += [text[end:start], " ".join(_one_of(text[start + 1 : behind - 1])) if alone else GLOB]
        end = behind
    return re.sub(r"[*?]+", GLOB, "".join(done) + text[end:])


def _brackets(text: str) -> Iterator[tuple[int, int]]:
    """Where each `[...]` without a blank begins, and where what is behind it does. Takes linear time."""
    at, close = 0, -1
    while (at := text.find("[", at)) >= 0:
        if close <= at and (close := text.find("]", at)) < 0:
            return
        space = _SPACE.search(text, at)
        blank = space.start() if space else len(text)
        if blank < close:
            at = blank
        else:
            yield at, close + 1
            at = close + 1


def _one_of(inside: str) -> str:
    return ascii_letters + digits if re.search(r"[!^:-]", inside) else inside


def _braced(text: str) -> str:
    """The text with every word in braces in place of the braces, the innermost first."""
    for _ in range(_MOST_BRACES):
        match = _BRACES.search(text)
        if match is None:
            return text
        inside = match[1]
        before = _BESIDE_BRACES.match(text[match.start() - 1 :: -1])[0][::-1] if match.start() else ""  # type: ignore[index]
        after = _BESIDE_BRACES.match(text, match.end())[0]  # type: ignore[index]
        start, end = match.start() - len(before), match.end() + len(after)
        if _SEQUENCE.match(inside):
            words = before + GLOB + after
        elif "," in inside:
            word = re.split(r"\s", text[:start])[-1]
            between = "," if word.count("{") > word.count("}") else " "
            words = between.join(before + each + after for each in inside.split(","))
        else:
            words = f"{before} {inside} {after}"
        text = text[:start] + words + text[end:]
    raise Unparsable("it has too many braces")
