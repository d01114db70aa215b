"""The commands that the modes `minimal` and `trusted` know: what makes each of them harmless."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_specbench.core.policy.paths import (
    is_workdir,
    path_problem,
    pattern_problem,
    shown,
    tested_problem,
    value_problem,
)
from pytest_specbench.core.policy.words import ANY, Word

_HARMLESS_VARIABLE = re.compile(r"LC_[A-Z]+|LANG|LANGUAGE|TZ|COLUMNS|LINES|NO_COLOR|TERM|[a-z][a-z0-9_]*")
_DANGEROUS_VARIABLE = re.compile(
    r"PATH|IFS|ENV|BASH_ENV|SHELLOPTS|BASHOPTS|PS[0-9]|PROMPT_COMMAND|CDPATH|HOME|LD_.*|DYLD_.*|GIT_.*|.*PAGER|.*EDITOR"
    r"|VISUAL|SHELL|BASH_.*|LESSOPEN|LESSCLOSE|PYTHONSTARTUP|PERL5OPT|RUBYOPT|NODE_OPTIONS"
)
_SED_ADDRESS = r"(?:[0-9]+|\$|/(?:\\[^\n]|[^/\\\n])*/)"
_SED_COMMAND = (
    rf"(?:{_SED_ADDRESS}(?:,(?:\+?[0-9]+|{_SED_ADDRESS}))?)?\s*!?\s*"
    r"(?:[pdq=]|s([/|#,@:])(?:\\[^\n]|(?!\1)[^\\\n])*\1(?:\\[^\n]|(?!\1)[^\\\n])*\1[gpIi0-9]*)"
)
_SED_ONE = re.compile(rf"\s*{_SED_COMMAND}\s*(?:[;\n]|$)")
_SED_OPTIONS = ("-n", "-E", "-r", "-s", "-z", "-nE", "-En", "-nr", "-rn", "--quiet", "--silent", "--regexp-extended")


@dataclass(frozen=True)
class Known:
    """A command that a mode allows by itself.

    `forbidden_short`: letters of options that make it write, run or read what is not named; `forbidden_long`: the same
    for long options and for find's, abbreviations included, unless `exact_long` has them as they are. `text`: its
    operands are no paths, but for those with a slash where `slashed`. `pattern`: the first operand is a pattern.
    `text_options`: short options whose value is always the next word, and no path. `operands`: how many it may have.
    `tests`: its words are paths when an operator for files is among them. `writes`: to the paths that it names.
    """

    forbidden_short: str = ""
    forbidden_long: tuple[str, ...] = ()
    exact_long: tuple[str, ...] = ()
    text: bool = False
    slashed: bool = False
    tests: bool = False
    writes: bool = False
    pattern: bool = False
    text_options: str = ""
    operands: int | None = None
    subcommands: tuple[str, ...] = ()


_TEXT, _FILES = Known(text=True), Known()
_TEST, _SLASHED = Known(text=True, tests=True), Known(text=True, slashed=True)
_WRITER = Known(writes=True)
_GREP = Known(pattern=True, forbidden_long=("--file", "--exclude-from"), exact_long=("--exclude",))
_FIND = ("-exec", "-execdir", "-ok", "-okdir", "-delete", "-fprint", "-fprint0", "-fprintf", "-fls", "-files0-from")
_GIT = (
    "status",
    "log",
    "diff",
    "show",
    "ls-files",
    "rev-parse",
    "blame",
    "describe",
    "shortlog",
    "cat-file",
    "ls-tree",
)
READERS: Mapping[str, Known] = {
    **dict.fromkeys(("echo", "printf", "true", "false", ":", "pwd", "whoami", "id", "uname"), _TEXT),
    **dict.fromkeys(("tr", "seq", "sleep", "basename", "dirname", "expr", "exit", "return", "break"), _TEXT),
    **dict.fromkeys(("continue", "nproc", "set", "shift", "wait"), _TEXT),
    **dict.fromkeys(("test", "[", "[["), _TEST),
    **dict.fromkeys(("which", "type", "command"), _SLASHED),
    **dict.fromkeys(
        ("cat", "ls", "nl", "tac", "cmp", "stat", "realpath", "readlink", "rev", "fold", "join", "comm"), _FILES
    ),
    **dict.fromkeys(("md5sum", "sha1sum", "sha256sum", "sha512sum", "cksum", "od", "hexdump", "strings", "cd"), _FILES),
    **dict.fromkeys(("expand", "unexpand", "df"), _FILES),
    **dict.fromkeys(("head", "tail"), Known(text_options="nc")),
    **dict.fromkeys(("grep", "egrep", "fgrep"), _GREP),
    "wc": Known(forbidden_long=("--files0-from",)),
    "du": Known(forbidden_long=("--files0-from",)),
    "sort": Known(
        "oT", ("--output", "--temporary-directory", "--compress-program", "--files0-from"), text_options="tk"
    ),
    "uniq": Known(operands=1),
    "cut": Known(text_options="dfcb"),
    "paste": Known(text_options="d"),
    "column": Known(text_options="s"),
    "diff": Known(forbidden_long=("--output",)),
    "file": Known("Cmz", ("--compile", "--magic-file", "--uncompress")),
    "tree": Known("oR", ("--output",)),
    "date": Known("sfr", ("--set", "--file", "--reference"), text=True, operands=0),
    "find": Known(forbidden_long=_FIND),
    "git": Known(
        "cO", ("--output", "--ext-diff", "--textconv", "--exec-path", "--config-env", "--git-dir"), subcommands=_GIT
    ),
}
"""What `minimal` allows: commands that read. `sed` is judged by `sed_is_harmless`."""

WRITERS: Mapping[str, Known] = {
    **dict.fromkeys(("mkdir", "cp", "mv", "touch", "rm", "rmdir", "ln", "tee"), _WRITER),
    "chmod": Known(pattern=True, writes=True, forbidden_long=("--reference",)),
}
"""What `trusted` allows besides: commands that write to the paths that they name."""


def variable_problem(name: str, *, trusted: bool) -> str | None:
    """Why this variable may not be set, or null. `minimal` knows the harmless ones, `trusted` the dangerous ones."""
    allowed = not _DANGEROUS_VARIABLE.fullmatch(name) if trusted else bool(_HARMLESS_VARIABLE.fullmatch(name))
    return None if allowed else f"it sets the variable {name}, which may change what other commands do"


DECLARING = frozenset({"read", "export", "readonly", "local", "unset"})
"""Builtins whose operands are variables."""


def declaration_problem(words: Sequence[Word], workdir: str, *, trusted: bool) -> str | None:
    """Why this use of a command of `DECLARING` is not harmless, or null."""
    for word in words[1:]:
        name, _, value = word.text.partition("=")
        if word.text == "-r" and words[0].text == "read":
            continue
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            return f"{shown(word.text)!r} is no plain variable"
        problem = variable_problem(name, trusted=trusted) or value_problem(Word(value), workdir)
        if problem:
            return problem
    return None


def command_problem(known: Known, words: Sequence[Word], workdir: str) -> str | None:
    """Why this use of a known command is not harmless, or null."""
    if known.subcommands:
        if len(words) < 2 or words[1].text not in known.subcommands:
            return f"only these of its subcommands are known to read: {', '.join(known.subcommands)}"
        words = words[1:]
    arguments = words[1:]
    for word in arguments:
        problem = _option_problem(known, word)
        if problem:
            return problem
    if words[0].text == "printf" and arguments and arguments[0].text.startswith("-v"):
        return "`printf -v` sets a variable"
    operands = [word for word in arguments if not word.text.startswith(("-", "+"))]
    if known.operands is not None and len(operands) > known.operands:
        return f"it may have at most {known.operands} operands"
    if known.tests:
        return tested_problem(arguments, workdir)
    if known.text:
        problems = (_text_problem(known, word, workdir) for word in arguments)
        return next((problem for problem in problems if problem), None)
    if words[0].text.rpartition("/")[2] == "cd" and not operands:
        return "`cd` alone leads to the home directory"
    problems = (_operand_problem(known, words, word, workdir) for word in _paths(known, arguments))
    return next((problem for problem in problems if problem), None)


def _operand_problem(known: Known, words: Sequence[Word], operand: Word, workdir: str) -> str | None:
    problem = path_problem(operand, workdir, writes=known.writes)
    if problem is None and known.writes and is_workdir(operand.text, workdir) and _takes_all(words, operand):
        return "it changes the whole workdir, and with it what belongs to git"
    return problem


def _takes_all(words: Sequence[Word], folder: Word) -> bool:
    """Whether what it does to the folder it does to everything in there."""
    name = words[0].text.rpartition("/")[2]
    options = [word.text for word in words[1:] if word.text.startswith("-")]
    recursive = any(
        names_option(text, ("--recursive",)) or (text[1:2] != "-" and re.search("[rR]", text)) for text in options
    )
    return (name in ("rm", "chmod") and recursive) or (name == "mv" and folder is not words[-1])


def _text_problem(known: Known, word: Word, workdir: str) -> str | None:
    if known.slashed and "/" in word.text:
        return path_problem(word, workdir)
    return pattern_problem(word, workdir)


def names_option(text: str, options: Sequence[str]) -> bool:
    """Whether a word is one of these long options, with or without its value; programs take abbreviations."""
    name = text.partition("=")[0]
    return len(name) > 2 and any(each.startswith(name) for each in options)


def _option_problem(known: Known, word: Word) -> str | None:
    text = word.text
    if ANY in text and (known.forbidden_short or known.forbidden_long):
        return "it has an argument that is only known when it runs, and might be an option"
    if not text.startswith("-") or text in ("-", "--"):
        return None
    if text.partition("=")[0] not in known.exact_long and names_option(text, known.forbidden_long):
        return f"the option {shown(text)} is not allowed"
    if not text.startswith("--") and any(letter in known.forbidden_short for letter in text[1:]):
        return f"the option {shown(text)} is not allowed"
    return None


def _paths(known: Known, arguments: Sequence[Word]) -> list[Word]:
    """The words that may be paths, also those inside of options: rather one too many than one too few."""
    found: list[Word] = []
    pattern = known.pattern and not any(_gives_pattern(word.text) for word in arguments)
    options = True
    skip = False
    for word in arguments:
        text = word.text
        if skip:
            skip = False
        elif options and text == "--":
            options = False
        elif options and text.startswith("-") and text != "-":
            skip = bool(re.fullmatch(r"-[nilvwcohHEFPqsxzrRL]*e", text)) if known.pattern else _takes_text(known, text)
            found += _inside_option(known, text)
        elif pattern and ANY not in text:
            pattern = False
        else:
            found.append(word)
            if text.startswith("@"):  # some programs read more words from there
                found.append(Word(text[1:]))
    return found


def _gives_pattern(text: str) -> bool:
    return text.startswith(("--regexp", "--file")) or bool(re.match(r"-[^-]*[ef]", text))


def _takes_text(known: Known, text: str) -> bool:
    return len(text) == 2 and text[1] in known.text_options


def _inside_option(known: Known, text: str) -> list[Word]:
    if text.startswith("--"):
        return [Word(text.partition("=")[2])] if "=" in text and not text.startswith("--regexp") else []
    if text[1:2] in tuple(known.text_options) or (known.pattern and text.startswith("-e")):
        return []
    if text.lower().endswith(".git"):
        return [Word(".git")]
    if "/" not in text and ANY not in text and ".." not in text:
        return []
    return [Word(text[2:]), *([Word(text[text.index("/") :])] if "/" in text else [])]


def sed_problem(words: Sequence[Word], workdir: str, *, trusted: bool) -> str | None:
    """Why this `sed` is not harmless, or null. Its script may print, delete and substitute; `-i` needs `trusted`."""
    rest = list(words[1:])
    writes = False
    while rest and rest[0].text.startswith("-"):
        option = rest.pop(0).text
        if re.fullmatch(r"-(?:[nErsz]*)i(?:\.[A-Za-z]+)?|--in-place", option) and trusted:
            writes = True
            continue
        if option in ("-e", "-ne"):
            break
        if option not in _SED_OPTIONS:
            return f"the option {shown(option)} of sed is not allowed"
    if not rest or not rest[0].literal:
        return "the script of sed is only known when it runs"
    script, at = rest[0].text, 0
    while at < len(script):
        match = _SED_ONE.match(script, at)
        if match is None or match.end() == at:
            return "the script of sed does more than print, delete and substitute"
        at = match.end()
    for word in rest[1:]:
        if word.text.startswith("-"):
            return f"{word.text} after sed's script"
        problem = path_problem(word, workdir, writes=writes)
        if problem:
            return problem
    return None
