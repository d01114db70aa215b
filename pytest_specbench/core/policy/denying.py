"""Finds denied commands: those that a text names, and those that what it names may run.

A program that is not known to run nothing is looked through: a denied command may begin at any of its words, in any of
their parts, and in its input. What is only known when it runs could be a denied command there, so it is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_specbench.core.globs import could_match, could_occur, spellings
from pytest_specbench.core.policy.commands import DECLARING
from pytest_specbench.core.policy.paths import shown
from pytest_specbench.core.policy.programs import Runs, base_name, reads_code, runs
from pytest_specbench.core.policy.readings import expands, readings, starts
from pytest_specbench.core.policy.segments import Segment
from pytest_specbench.core.policy.syntax import parse
from pytest_specbench.core.policy.words import ANY, GLOB, Unparsable, Word
from pytest_specbench.core.policy.wrappers import OTHER_SHELLS, expand_all

_MOST_COMMANDS = 5_000
"""How many commands one text may come to before it counts as not understood."""
_MOST_WORDS = 40
"""How many words of a command are looked at together when options stand before its subcommand."""
_RUN_VARIABLE = re.compile(
    r".*PAGER|.*EDITOR|VISUAL|BROWSER|SHELL|ENV|BASH_ENV|BASH_FUNC.*|PROMPT_COMMAND|PS[0-9]|GIT_.*|.*_ASKPASS|LESSOPEN"
    r"|LESSCLOSE|MAKEFLAGS|.*FLAGS|CC|CXX|CPP|LD|AR|AS|.*_RSH|.*_COMMAND|.*_CMD|TAR_OPTIONS|LD_.*|DYLD_.*"
    r"|PYTHONSTARTUP|PERL5OPT|RUBYOPT|NODE_OPTIONS|.*_WRAPPER|.*_LAUNCHER|.*_RUNNER"
)
"""Variables whose value programs run."""
_DECLARING = DECLARING | {"declare", "typeset"}
_DESCRIPTOR = re.compile(r"/dev/(?:fd/|stdin)|/proc/[^/]+/fd/")


@dataclass(frozen=True)
class Denied:
    """The rule that denies a command, the command, and why if the rule only may match it."""

    rule: str
    command: str
    why: str | None = None


def find_denied(segments: Sequence[Segment], deny: Sequence[str]) -> Denied | None:
    """The first of these commands that a rule denies, or may deny; null when surely none does.

    `segments` are those that `expand` returns. Raises Unparsable for what cannot be decided.
    """
    if not deny:
        return None
    work = list(segments)
    seen = 0
    while work:
        seen += 1
        if seen > _MOST_COMMANDS:
            raise Unparsable("it comes to too many commands")
        segment = work.pop(0)
        denied = _named(segment, deny) or _looked_through(segment, deny)
        if denied is not None:
            return denied
        work += _shell_texts(segment)
    return None


def may_occur(text: str, deny: Sequence[str]) -> str | None:
    """The first rule that may match something in a text of which nothing else is known."""
    found = (rule for rule in deny if _occurs(rule, text, of_shell=True))
    return next(found, None)


def _named(segment: Segment, deny: Sequence[str]) -> Denied | None:
    """The segment itself is a denied command, also without the options before its subcommand."""
    for rule in deny:
        if _is_named(rule, segment.words):
            return Denied(rule, _text(segment))
    return None


def _is_named(rule: str, words: Sequence[Word]) -> bool:
    forms = [form for form in _forms(rule) if _may_begin(form, words)]
    if not forms:
        return False
    # A rule that begins with `*` takes in what stands before a subcommand by itself.
    candidates = [words] if _names_none(rule) else _without_leading_options(words)
    return any(
        could_match(form, text)
        for candidate in candidates
        for text in spellings(candidate, may_vanish=True)
        for form in forms
    )


def _may_begin(form: str, words: Sequence[Word]) -> bool:
    """Whether the first word may be the program of a rule; it spares the long way for nearly all."""
    head = re.match(r"[^*? ]*", form)
    first = words[0].text if words else ""
    return not head or head[0] in first or ANY in first or GLOB in first


def _looked_through(segment: Segment, deny: Sequence[str]) -> Denied | None:
    for name, value in _variables(segment):
        if _RUN_VARIABLE.fullmatch(name) and (not value.literal or _DESCRIPTOR.match(value.text)):
            return Denied(deny[0], _text(segment), f"the variable {name} may name a command")
        # Of another variable only what the text says counts: used as a command's name, it is not understood anyway.
        known = "" if GLOB in value.text else value.text.replace(ANY, "")
        rule = next((rule for rule in deny if _occurs(rule, known, of_shell=True)), None)
        if rule is not None:
            return Denied(rule, _text(segment), f"the variable {name} may name it")
    if not segment.words or segment.unwrapped:
        return None
    may = runs(segment.words)
    if may is Runs.NOTHING:
        return None
    why = _unresolved(segment, may)
    if why is not None:
        return Denied(deny[0], _text(segment), why)
    texts = [*(word.text for word in segment.words[1:]), *_inputs(segment)]
    plain = " ".join(texts)
    for rule in deny:
        if _occurs(rule, plain, of_shell=may is Runs.ANYTHING) or _behind_options(rule, segment.words):
            return Denied(rule, _text(segment), f"of its words, {may.value}")
    return None


def _unresolved(segment: Segment, may: Runs) -> str | None:
    """Why nobody can tell what a program runs that may run something."""
    if may is Runs.WHAT_A_SCRIPT_MAKES:
        return str(may.value)
    if segment.words[0].text == "alias" and len(segment.words) > 1:
        return "another word may then stand for it"
    if any(ANY in word.text for word in segment.words[1:]):
        return f"one of its words is only known when it runs, and {may.value}"
    if any(
        word.text.rpartition("/")[2] in OTHER_SHELLS and after.text.startswith("-")
        for word, after in pairwise(segment.words)
    ):
        return "it may run a shell whose code is not read here"
    if any(_DESCRIPTOR.match(word.text) for word in segment.words[1:]):
        return "what it reads is only known when it runs"
    if any(ANY in text for text in _inputs(segment)) or any(
        redirect.feeds and redirect.data is None for redirect in segment.redirects
    ):
        return "what it reads is only known when it runs"
    if segment.fed and (may is Runs.ANYTHING or reads_code(segment.words)):
        return "it reads what another command writes, and may run that"
    return None


def _shell_texts(segment: Segment) -> Iterator[Segment]:
    """The commands in the words, the variables and the input of a program that may give them to a shell."""
    given = bool(segment.words) and (segment.unwrapped or runs(segment.words) is not Runs.NOTHING)
    for name, value in _variables(segment):
        if (given or _RUN_VARIABLE.fullmatch(name)) and expands(value.text):
            yield from expand_all(parse(value.text))
    if not given or segment.unwrapped or runs(segment.words) is not Runs.ANYTHING:
        return
    for text in [*(part for word in segment.words[1:] for part in _parts(word.text)), *_inputs(segment)]:
        if expands(text):
            yield from expand_all(parse(text))


def _parts(text: str) -> Iterator[str]:
    """A word, and the value of the option or of the variable that it may be."""
    yield text
    if "=" in text:
        yield text.partition("=")[2]
    if re.match(r"-[A-Za-z]", text) and len(text) > 2:
        yield text[2:]


def _inputs(segment: Segment) -> list[str]:
    return [redirect.data.text for redirect in segment.redirects if redirect.data is not None and redirect.feeds]


def _variables(segment: Segment) -> Iterator[tuple[str, Word]]:
    """What the command gives variables, by an assignment before it or by a builtin."""
    yield from segment.assignments
    name = base_name(segment.words[0]) if segment.words else ""
    if name not in _DECLARING:
        return
    for word in segment.words[1:]:
        variable, equals, value = word.text.partition("=")
        if equals:
            added = ANY if variable.endswith("+") else ""
            yield variable.rstrip("+"), Word(added + value)
        elif name == "read":
            yield variable, Word(ANY)


def _without_leading_options(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """The command as it is, and without the options before its subcommand: `git -C x push` is a `git push`."""
    yield words
    at = 1
    while at < len(words) and words[at].text.startswith("-"):
        at += 1
        yield [words[0], *words[at:]]
        if at < len(words) and not words[at].text.startswith("-"):
            yield [words[0], *words[at + 1 :]]
            if at + 1 < len(words) and words[at + 1].text.startswith("-"):
                at += 1


def _behind_options(rule: str, words: Sequence[Word]) -> bool:
    """Whether a command with options before its subcommand begins at a later word."""
    if _names_none(rule):
        return False
    return any(
        words[at + 1].text.startswith("-") and _is_named(rule, [*words[at : at + _MOST_WORDS], Word(ANY)])
        for at in range(1, len(words) - 1)
    )


def _occurs(rule: str, text: str, *, of_shell: bool) -> bool:
    forms = _forms(rule)
    return any(_begins_in(form, reading) for reading in readings(text, of_shell=of_shell) for form in forms)


def _begins_in(rule: str, reading: str) -> bool:
    known = reading.removesuffix(f" {ANY}") if _names_none(rule) else reading
    return could_occur(rule, known, starts(known))


def _names_none(rule: str) -> bool:
    """Whether it names no program. An unknown word behind one may make it a denied command; alone, it makes nothing."""
    return rule[:1] in ("*", "?")


def _forms(rule: str) -> Iterable[str]:
    """The rule, and without the folders of its program: by PATH the same program has no folder."""
    program, space, rest = rule.partition(" ")
    name = program.rpartition("/")[2]
    return (rule, name + space + rest) if name != program and name.strip("*?") else (rule,)


def _text(segment: Segment) -> str:
    return shown(" ".join(word.text for word in segment.words)) or "an assignment"
