"""Looks through commands that run other commands: `env`, `sudo`, `timeout`, `xargs`, `sh -c`, `find -exec`, `eval`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_specbench.core.policy.segments import Segment
from pytest_specbench.core.policy.syntax import parse
from pytest_specbench.core.policy.words import ANY, Unparsable, Word

SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "rbash"})
"""Commands whose `-c` text, here-document and standard input are shell code."""
OTHER_SHELLS = frozenset(
    {"zsh", "fish", "csh", "tcsh", "nu", "elvish", "xonsh", "pwsh", "rc", "es", "osh", "ysh", "yash"}
)
"""Shells that read other text than bash and dash: `=curl`, `(curl)`."""
_MAX_DEPTH = 25
_EVALUATING = frozenset(
    {"let", "declare", "typeset", "local", "export", "readonly", "test", "[", "[[", "unset", "read"}
)
"""Builtins that take names or numbers, in which bash runs the substitutions of an array subscript."""
_EXEC = ("-exec", "-execdir", "-ok", "-okdir")


@dataclass(frozen=True)
class _Wrapper:
    """How a wrapper's own words end: its options with a value, those without, and how many operands it takes first."""

    valued: str = ""
    """Short options that take a value."""
    flags: str = ""
    """Short options that take none."""
    long_valued: tuple[str, ...] = ()
    long_flags: tuple[str, ...] = ()
    operands: int = 0
    assignments: bool = False
    """`NAME=VALUE` words may stand before the command."""
    transparent: bool = True
    """It changes nothing that a mode cares about."""
    adds_words: bool = False
    """It appends words that are only known when it runs."""


_WRAPPERS = {
    "env": _Wrapper("u", "i0v", ("--unset",), ("--ignore-environment", "--null", "--debug"), assignments=True),
    "sudo": _Wrapper("ugpCThrt", "AbEHnPSkK", ("--user", "--group"), (), assignments=True, transparent=False),
    "doas": _Wrapper("u", "n", transparent=False),
    "timeout": _Wrapper("ks", "v", ("--kill-after", "--signal"), ("--foreground", "--preserve-status"), operands=1),
    "nohup": _Wrapper(),
    "setsid": _Wrapper("", "cfw", (), ("--ctty", "--fork", "--wait")),
    "nice": _Wrapper("n", "0123456789", ("--adjustment",)),
    "ionice": _Wrapper("cn", "t"),
    "stdbuf": _Wrapper("ioe", "", ("--input", "--output", "--error")),
    "time": _Wrapper("", "p"),
    "command": _Wrapper("", "p"),
    "builtin": _Wrapper(),
    "exec": _Wrapper("a", "cl"),
    "xargs": _Wrapper(
        "nPLsdEI",
        "0rtx",
        ("--max-args", "--max-procs", "--delimiter"),
        ("--null", "--no-run-if-empty"),
        adds_words=True,
    ),
    "busybox": _Wrapper(),
    "toybox": _Wrapper(),
    "chroot": _Wrapper(operands=1, transparent=False),
}


def expand(text: str) -> list[Segment]:
    """Parse `text` and return every command that it would run, wrapped ones too. Raises Unparsable."""
    return expand_all(parse(text))


def expand_all(segments: Sequence[Segment]) -> list[Segment]:
    """Return these commands and every command that they would run. Raises Unparsable."""
    found: list[Segment] = []
    work = [(segment, 0) for segment in segments]
    while work:
        segment, depth = work.pop(0)
        if depth > _MAX_DEPTH:
            raise Unparsable("commands are wrapped too deeply")
        own, inner = _look_through(segment, depth)
        found.append(own)
        feeds = any(redirect.feeds for redirect in own.redirects)
        for each in inner:
            # What has no redirections of its own reads what the wrapper was given.
            fed = each.fed or own.fed or (feeds and not each.redirects)
            work.append((replace(each, fed=fed), depth + 1))
    return found


def _look_through(segment: Segment, depth: int) -> tuple[Segment, list[Segment]]:
    """Return the segment, marked where it is only a wrapper, and what it runs."""
    if not segment.words:
        return segment, []
    head = segment.words[0]
    if not head.literal or not head.text:
        raise Unparsable("the name of a command is only known when it runs")
    name = head.text.rpartition("/")[2]
    if name == "command" and len(segment.words) > 1 and segment.words[1].text in ("-v", "-V"):
        return segment, []
    if name in SHELLS:
        return _shell(segment, depth)
    if name in OTHER_SHELLS:
        raise Unparsable(f"`{name}` reads its code in another way than bash and dash")
    if name in ("eval", "trap"):
        return _evaluated(segment, name, depth)
    if name == "find":
        return segment, _find_commands(segment)
    evaluates = name in _EVALUATING or (name == "printf" and segment.words[1:] and "-v" in segment.words[1].text[:2])
    if evaluates and any("$(" in word.text or "`" in word.text for word in segment.words):
        raise Unparsable(f"`{name}` could run the code in its arguments")
    wrapper = _WRAPPERS.get(name)
    if wrapper is None:
        return segment, []
    return _unwrapped(segment, wrapper, name)


def _unwrapped(segment: Segment, wrapper: _Wrapper, name: str) -> tuple[Segment, list[Segment]]:
    rest = list(segment.words[1:])
    replaced = _skip_options(rest, wrapper, name)
    for _ in range(wrapper.operands):
        if rest and not rest[0].literal:
            raise Unparsable(f"a word before the command of `{name}` is only known when it runs")
        rest = rest[1:]
    assignments: list[tuple[str, Word]] = []
    while wrapper.assignments and rest and (match := re.match(r"([^=]+)=", rest[0].text)):
        assignments.append((match[1], Word(rest.pop(0).text[match.end() :])))
    own = replace(
        segment,
        assignments=(*segment.assignments, *assignments),
        transparent=wrapper.transparent and bool(rest),
        unwrapped=True,
    )
    if not rest and name == "chroot":
        raise Unparsable("`chroot` alone runs a shell")
    if not rest:
        return own, []
    if replaced:
        rest = [Word(word.text.replace(replaced, ANY)) for word in rest]
    if wrapper.adds_words:
        rest.append(Word(ANY))
    return own, [Segment(tuple(rest), () if wrapper.adds_words else segment.redirects)]


def _skip_options(rest: list[Word], wrapper: _Wrapper, name: str) -> str:
    """Take a wrapper's own options off `rest`; return the text that xargs replaces. An unknown option is not parsed."""
    replaced = ""
    while rest and (rest[0].text.startswith("-") or not rest[0].literal):
        word = rest.pop(0)
        if not word.literal:
            raise Unparsable(f"an option of `{name}` is only known when it runs")
        text = word.text
        if text == "--":
            break
        if text == "-" and name == "env":
            continue
        long, equals, _ = text.partition("=")
        if text in wrapper.long_flags or (equals and long in wrapper.long_valued):
            continue
        if text in wrapper.long_valued:
            _value(rest, name)
            continue
        index = 1
        while index < len(text) and text[index] in wrapper.flags:
            index += 1
        if index == len(text) and index > 1:
            continue
        if text.startswith("--") or index >= len(text) or text[index] not in wrapper.valued:
            raise Unparsable(f"the option {text!r} of `{name}` is not known here")
        value = text[index + 1 :] or _value(rest, name)
        if name == "xargs" and text[index] == "I":
            replaced = value
    return replaced


def _value(rest: list[Word], name: str) -> str:
    if not rest or not rest[0].literal:
        raise Unparsable(f"the value of an option of `{name}` is not known")
    return rest.pop(0).text


def _code(word: Word, what: str, depth: int) -> list[Segment]:
    if not word.literal:
        raise Unparsable(f"the code of `{what}` is only known when it runs")
    return parse(word.text, depth + 1)


def _evaluated(segment: Segment, name: str, depth: int) -> tuple[Segment, list[Segment]]:
    words = [word for word in segment.words[1:] if word.text != "--"]
    if name == "trap":
        words = words[:1]
    if any(not word.literal for word in words):
        raise Unparsable(f"the code of `{name}` is only known when it runs")
    code = Word(" ".join(word.text for word in words))
    return replace(segment, transparent=True, unwrapped=True), _code(code, name, depth)


def _shell(segment: Segment, depth: int) -> tuple[Segment, list[Segment]]:
    """A shell: its `-c` text, its script, or what it reads from standard input."""
    name, rest = segment.words[0].text, list(segment.words[1:])
    takes_code = reads_input = False
    while rest and (rest[0].text[:1] in ("-", "+") or not rest[0].literal):
        word = rest.pop(0)
        if not word.literal:
            raise Unparsable(f"an option of `{name}` is only known when it runs")
        if word.text in ("--", "-"):
            break
        if word.text in ("--norc", "--noprofile", "--login", "--posix", "--version", "--help"):
            continue
        if not re.fullmatch(r"[-+][a-zA-Z]+", word.text):
            raise Unparsable(f"the option {word.text!r} of `{name}` is not known here")
        takes_code = takes_code or (word.text[0] == "-" and "c" in word.text)
        reads_input = reads_input or "s" in word.text
        if "O" in word.text:
            raise Unparsable(f"`{name} -O` changes how its code is read")
        for _ in range(word.text.count("o")):
            _value(rest, name)
    if takes_code:
        if not rest:
            raise Unparsable(f"`{name} -c` without its code")
        return replace(segment, transparent=True, unwrapped=True), _code(rest[0], f"{name} -c", depth)
    if rest and not reads_input:
        return segment, []
    inputs = [redirect for redirect in segment.redirects if not redirect.writes]
    if len(inputs) != 1 or inputs[0].data is None or not inputs[0].stdin:
        raise Unparsable(f"`{name}` reads its code from standard input")
    return replace(segment, transparent=True, unwrapped=True), _code(inputs[0].data, name, depth)


def _find_commands(segment: Segment) -> list[Segment]:
    """The commands of `find -exec ... ;` and its relatives; what `{}` stands for is only known when it runs."""
    words = segment.words
    starts = [index for index, word in enumerate(words) if word.text in _EXEC]
    return [Segment(_braces(_up_to_end(words[start + 1 :]))) for start in starts]


def _up_to_end(words: Sequence[Word]) -> Sequence[Word]:
    for index, word in enumerate(words):
        if word.text == ";" or (word.text == "+" and index and words[index - 1].text == "{}"):
            return words[:index]
    raise Unparsable("`find -exec` without its end")


def _braces(words: Sequence[Word]) -> tuple[Word, ...]:
    return tuple(Word(word.text.replace("{}", ANY)) for word in words)
