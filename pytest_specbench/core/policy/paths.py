"""Paths in commands: whether they may lead out of the workdir, or into a git repository's own files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from pytest_specbench.core.policy.words import ANY, GLOB, Word

_STREAM = re.compile(r"-|/dev/(?:null|stdin|stdout|stderr|fd/[0-9]+)")
_FILE_TEST = re.compile(r"-(?:[abcdefghkprstuwxGLNOS]|nt|ot|ef)")


def shown(text: str) -> str:
    """A word's text for people: unknown parts as `...`, globs as `*`."""
    return text.replace(ANY, "...").replace(GLOB, "*")


def path_problem(word: Word, workdir: str, *, writes: bool = False) -> str | None:
    """Why a path may lead out of the workdir, or null. Links are not followed: this looks at names only.

    `writes`: what git keeps for itself is off limits too. Its configuration and hooks run whatever they name, whoever
    calls git next.
    """
    text = word.text
    if ANY in text:
        return "it has a path that is only known when it runs"
    # In some shells `.*` stands for `..` as well.
    if any(part.startswith(".") and GLOB in part for part in text.split("/")):
        return f"the path {shown(text)!r} may lead out of {workdir}"
    if writes and in_git(text):
        return f"the path {shown(text)!r} belongs to git, whose configuration and hooks run what they name"
    if _STREAM.fullmatch(text):
        return None
    full, root = posixpath.normpath(posixpath.join(workdir, text)), posixpath.normpath(workdir).rstrip("/")
    if full == root or full.startswith(f"{root}/"):
        return None
    return f"the path {shown(text)!r} is outside of {workdir}"


def in_git(text: str) -> bool:
    """Whether a part of the path is a `.git`, of any repository, folder or file."""
    return any(part.lower() == ".git" for part in text.split("/"))


def is_workdir(text: str, workdir: str) -> bool:
    """Whether the path is the workdir itself, which holds the repository."""
    return posixpath.normpath(posixpath.join(workdir, text)) == posixpath.normpath(workdir)


def pattern_problem(word: Word, workdir: str) -> str | None:
    """Why a word that is no path still reads a folder outside: the shell looks for the files that its pattern names.

    An unknown part may be a pattern, so what stands before it must not lead out.
    """
    text = word.text
    if GLOB in text:
        return path_problem(word, workdir)
    if ANY in text:
        known = text[: text.index(ANY)]
        return path_problem(Word(known), workdir) if "/" in known else None
    return None


def value_problem(word: Word, workdir: str) -> str | None:
    """The same for the value of a variable, whose pattern is read wherever the variable is used without quotes."""
    words = [part for part in word.text.split() if re.search(r"[*?\[]", part)]
    if words and (len(word.text.split()) == 1 or any(path_problem(Word(part), workdir) for part in words)):
        return "it gives a variable a pattern, which may be read anywhere"
    return pattern_problem(word, workdir) if GLOB in word.text else None


def tested_problem(words: Iterable[Word], workdir: str) -> str | None:
    """Why `test` looks at a file that may be outside, or null. Every word is taken for a path if a file is tested."""
    words = list(words)
    if not any(_FILE_TEST.fullmatch(word.text) for word in words):
        return next((problem for word in words if (problem := pattern_problem(word, workdir))), None)
    return next((problem for word in words if (problem := path_problem(word, workdir))), None)
