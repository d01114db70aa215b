"""What a command may run besides itself: nothing, code in a language of its own, or anything that its words name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum

from pytest_specbench.core.policy.commands import names_option
from pytest_specbench.core.policy.words import ANY, GLOB, Word


class Runs(Enum):
    """What becomes of a command's words and of its standard input."""

    NOTHING = "they are data"
    OWN_LANGUAGE = "they may be code in the program's own language, or give a file another name"
    WHAT_A_SCRIPT_MAKES = "its script may run a command that it puts together"
    ANYTHING = "they may be a command, or text of a shell"


_HARMLESS_NAMES = """
[ [[ : arch b2sum base32 base64 basename break bunzip2 bzcat bzip2 cal cat cd chgrp chmod chown cksum cmp colrm
column comm continue csplit curl cut date declare df diff dir dircolors dirname dirs du echo egrep exit expand
export expr factor false fgrep file fmt fold free getconf getopts grep groups gunzip gzip head hexdump hostid
hostname iconv id jobs join jq kill let local locale logname look ls lsblk lscpu md5sum mkdir mkfifo mktemp nl nproc
numfmt od paste pathchk pgrep pidof popd pr printenv printf ps ptx pushd pwd read readlink readonly realpath return
rev rm rmdir seq set sha1sum sha224sum sha256sum sha384sum sha512sum shift shopt shuf sleep stat strings sum sync
tac tail tee test times touch tr tree true truncate tsort tty type typeset ulimit umask uname unexpand uniq unlink
unset unxz unzip uptime users vdir wait wc which who whoami xxd xz xzcat yes zcat zgrep
"""
_HARMLESS = frozenset(_HARMLESS_NAMES.split())
"""Programs and builtins that run nothing, whatever their words are. One that is missing here is only searched."""

_WITH_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "sort": ("--compress-program",),
    "split": ("--filter",),
    "rg": ("--pre", "--hostname-bin"),
    "find": (),
}
"""Programs that run nothing but what these options name. The commands of `find` are taken out of it before."""

_GIT_NAMES = """
add apply blame branch cat-file check-ignore checkout cherry-pick clean commit describe diff diff-tree for-each-ref
fsck gc hash-object init log ls-files ls-tree merge merge-base mv name-rev notes reflog reset restore rev-list
rev-parse revert rm shortlog show show-ref stash status switch tag worktree write-tree
"""
_GIT = frozenset(_GIT_NAMES.split())
_NAMERS = frozenset({"cp", "mv", "ln", "link", "install", "dd", "rename"})
"""They give a file another name, under which no rule would know it."""
_LANGUAGE = re.compile(r"(?:python|pypy|perl|ruby|node|nodejs|deno|bun|php|lua|luajit|Rscript)[0-9.]*")
_AWK = re.compile(r"[gmn]?awk|original-awk")
_AWK_RUNS = re.compile(r"system|getline|@|(?<!\|)\|(?!\|)|\|{3}|^-[^Fv]")
_CODE_OPTION = re.compile(r"-[A-Zabd-hj-z]*[ceE]|--eval|--print")
_FLAGS = re.compile(r"-[uIBEsSOqbdvxnalpw]+")
_DATA_MODULES = frozenset({"json.tool", "base64", "gzip", "pip", "pytest", "unittest", "venv"})
"""Modules for `python -m` that take no code from standard input, as `code` and `pdb` do."""

_SED_ADDRESS = r"(?:[0-9]+(?:~[0-9]+)?|\$|/(?:\\[^\n]|[^/\\\n])*/I?)"
_SED_COMMAND = re.compile(
    rf"[\s;{{}}]*(?:{_SED_ADDRESS}(?:\s*,\s*(?:[+~]?[0-9]+|{_SED_ADDRESS}))?)?\s*!?\s*"
    r"(?:[{}]|#[^\n]*|[pPdDqQ=nNgGhHxlzF]\s*[0-9]*(?=\s*(?:[;}\n]|$))"
    r"|s([/|#,@:!])(?:\\[^\n]|(?!\1)[^\\\n])*\1(?:\\[\s\S]|(?!\1)[^\\\n])*\1[gpIi0-9]*(?=\s*(?:[;}\n]|$))"
    r"|y/(?:\\[^\n]|[^/\\\n])*/(?:\\[^\n]|[^/\\\n])*/"
    r"|[aic](?:\\\n|\s|\\)(?:\\[\s\S]|[^\\\n])*|[btT:]\s*\w*(?=\s*(?:[;}\n]|$))|[rwRW]\s[^\n]*)[\s;{}]*"
)
_SED_FLAGS = re.compile(r"-[nErsuz]*(?:i[^\s]*)?|--(?:quiet|silent|regexp-extended|in-place(?:=.*)?|posix|null-data)")


def base_name(word: Word) -> str:
    """The program's name without the folders that programs lie in; another path keeps its slashes."""
    folder, slash, name = word.text.rpartition("/")
    return name if not slash or folder in ("/bin", "/usr/bin") else word.text


def runs(words: Sequence[Word]) -> Runs:
    """What a command may run besides itself. What is not known here may run anything."""
    name, arguments = base_name(words[0]), words[1:]
    if name in ("sed", "gsed"):
        return Runs.NOTHING if _sed_runs_nothing(arguments) else Runs.WHAT_A_SCRIPT_MAKES
    if _AWK.fullmatch(name):
        plain = all(word.literal and not _AWK_RUNS.search(word.text) for word in arguments)
        return Runs.NOTHING if plain else Runs.WHAT_A_SCRIPT_MAKES
    if _is_data(name, arguments):
        return Runs.NOTHING
    if name in _NAMERS or _LANGUAGE.fullmatch(name):
        return Runs.OWN_LANGUAGE
    return Runs.ANYTHING


def reads_code(words: Sequence[Word]) -> bool:
    """Whether a program with a language of its own takes its code from standard input."""
    name, rest = base_name(words[0]), list(words[1:])
    if name in _NAMERS:
        return False
    while rest and _FLAGS.fullmatch(rest[0].text):
        rest.pop(0)
    if not rest or rest[0].text == "-" or not rest[0].literal:
        return True
    if rest[0].text == "-m":
        return len(rest) < 2 or rest[1].text not in _DATA_MODULES
    return rest[0].text.startswith("-") and not _CODE_OPTION.fullmatch(rest[0].text)


def _is_data(name: str, arguments: Sequence[Word]) -> bool:
    if name == "git":
        return bool(arguments) and arguments[0].text in _GIT
    if name == "printf" and arguments and _may_be(arguments[0], "-v"):
        return False  # it sets a variable
    if name == "command":
        return len(arguments) > 1 and arguments[0].text in ("-v", "-V")
    if name in _WITH_OPTIONS:
        forbidden = _WITH_OPTIONS[name]
        return not any(_hides_option(word) or names_option(word.text, forbidden) for word in arguments)
    return name in _HARMLESS


def _may_be(word: Word, option: str) -> bool:
    return word.text.startswith(option) or word.text.startswith((ANY, GLOB))


def _hides_option(word: Word) -> bool:
    return ANY in word.text or word.text.startswith(GLOB)


def _sed_runs_nothing(arguments: Sequence[Word]) -> bool:
    """Whether no part of the script is one that runs a command: `e`, or `s///e`."""
    rest = list(arguments)
    scripts: list[Word] = []
    operands: list[Word] = []
    while rest:
        word = rest.pop(0)
        if _hides_option(word) and not (scripts or operands):
            return False
        if word.text in ("-e", "-ne", "--expression") and rest:
            scripts.append(rest.pop(0))
        elif word.text.startswith("-") and word.text != "-":
            if not _SED_FLAGS.fullmatch(word.text):
                return False
        else:
            operands.append(word)
    if not scripts and operands:
        scripts.append(operands.pop(0))
    # An operand that is only known when it runs could be an option with another script.
    return all(word.literal and _only_edits(word.text) for word in scripts) and not any(
        _hides_option(word) for word in operands
    )


def _only_edits(script: str) -> bool:
    at = 0
    while at < len(script):
        match = _SED_COMMAND.match(script, at)
        if match is None or match.end() == at:
            return not script[at:].strip()
        at = match.end()
    return True
