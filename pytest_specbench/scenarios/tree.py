"""Files and folders that a scenario names: which there are, and that they are plain files of its repository."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pytest_specbench.core.errors import ScenarioError
from pytest_specbench.core.git import repository_of
from pytest_specbench.core.tar import LEFT_OUT, TarFile, make_tar
from pytest_specbench.core.text import one_line

MAX_FILES = 100_000
"""The most files and folders of one tree."""
MAX_BYTES = 1_000_000_000
"""The most that the files of one tree may hold together: it is packed in memory."""


@dataclass(frozen=True)
class TreeFile:
    """A regular file: `path` relative to the tree's root, with '/', and where it lies."""

    path: str
    source: Path
    executable: bool


def list_tree(folder: Path, relative: str) -> list[TreeFile]:
    """The files at or below `relative` in `folder`, sorted by path; a single file has its own name as path.

    Raises ScenarioError when it is not there, is empty, or is, holds or lies behind a symbolic link or a special file.
    """
    here, facts = _resolve(folder, relative)
    if stat.S_ISREG(facts.st_mode):
        _check_size(relative, facts.st_size)
        return [TreeFile(here.name, here, bool(facts.st_mode & stat.S_IXUSR))]
    found = sorted(_below(here), key=lambda entry: entry.path)
    if not found:
        raise ScenarioError(f"the folder {relative!r} holds no file", expected="a folder with at least one file")
    return found


def require_file(folder: Path, relative: str) -> Path:
    """The path of a single regular file; raises ScenarioError as `list_tree` does, and when it is a folder."""
    path, facts = _resolve(folder, relative)
    if stat.S_ISDIR(facts.st_mode):
        raise ScenarioError(f"{relative!r} is a folder", expected="a file")
    _check_size(relative, facts.st_size)
    return path


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise ScenarioError(f"{one_line(repr(name))} holds {size} bytes", expected=f"at most {MAX_BYTES} bytes")


def _resolve(folder: Path, relative: str) -> tuple[Path, os.stat_result]:
    """The path and what is known of a file or folder, with no link on the way. On plain strings: it runs for every
    scenario.
    """
    start, below = _climbed(folder, relative) if relative.startswith("../") else (folder, relative)
    here, facts = str(start), os.stat_result((stat.S_IFDIR, *[0] * 9))
    for part in below.split("/"):
        if part in ("", "."):
            continue
        if part.lower() == ".git":
            raise ScenarioError(f"{one_line(repr(relative))} lies in git's own folder", expected=_PLAIN)
        named = f"{here}/{part}"
        try:
            facts = os.lstat(named)
        except (OSError, ValueError):  # NUL or half a character is no OSError
            raise ScenarioError(
                f"there is no {one_line(repr(relative))} beside the scenario", expected=_nearest(Path(here), part)
            ) from None
        if stat.S_ISLNK(facts.st_mode):
            raise ScenarioError(
                f"{one_line(repr(relative))} is or goes through a symbolic link, {part!r}", expected=_PLAIN
            )
        here = named
    if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
        raise ScenarioError(f"{one_line(repr(relative))} is neither a file nor a folder", expected=_PLAIN)
    if start is not folder and folder.is_relative_to(here):
        raise ScenarioError(
            f"{one_line(repr(relative))} holds the scenario itself: the agent would see its solution and its checks",
            expected="a file or folder beside or below the scenario's folder, or beside one above it",
        )
    return Path(here), facts


def _climbed(folder: Path, relative: str) -> tuple[Path, str]:
    """Where a path that begins with '../' begins, and the rest of it. Raises ScenarioError where it leaves the
    repository; where there is none, everything but the scenario's folder is outside.
    """
    repository, start, rest = repository_of(folder), folder, relative
    top = repository or folder
    while rest.startswith("../"):
        start, rest = start.parent, rest[3:]
    if not start.is_relative_to(top):
        raise ScenarioError(
            f"{one_line(repr(relative))} lies outside of "
            + ("the scenario's repository" if repository else "the scenario's folder, which is in no repository"),
            expected=f"a file or folder inside {top}",
        )
    return start, rest


_PLAIN = "plain files inside the scenario's repository, without links"


def _below(root: Path) -> list[TreeFile]:
    found: list[TreeFile] = []
    folders, entries, size = [root], 0, 0
    while folders:
        folder = folders.pop()
        try:
            listed = [(entry.name, entry.stat(follow_symlinks=False)) for entry in os.scandir(folder)]
        except OSError as error:
            raise ScenarioError(f"cannot be read: {error.strerror}", where=str(folder)) from error
        entries += len(listed)
        for name, facts in listed:
            if name in LEFT_OUT:
                continue
            path = folder / name
            if stat.S_ISDIR(facts.st_mode):
                folders.append(path)
                continue
            found.append(_plain_file(root, path, facts))
            size += facts.st_size
        if entries > MAX_FILES:
            raise ScenarioError(f"the folder {root.name!r} holds too much", expected=f"at most {MAX_FILES} files")
        _check_size(root.name, size)
    return found


def _plain_file(root: Path, path: Path, facts: os.stat_result) -> TreeFile:
    name = path.relative_to(root).as_posix()
    if not stat.S_ISREG(facts.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(facts.st_mode) else "a special file"
        raise ScenarioError(f"the folder {root.name!r} holds {kind}, {name!r}", expected=_PLAIN)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ScenarioError(
            f"the folder {root.name!r} holds a file whose name is not UTF-8, {name!r}",
            expected="names that can be written down",
        ) from None
    return TreeFile(name, path, bool(facts.st_mode & stat.S_IXUSR))


def _nearest(folder: Path, name: str) -> str:
    try:
        there = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        there = []
    near = get_close_matches(name, there, n=1)
    return f"a file or folder inside {folder}" + (f"; the nearest is {near[0]!r}" if near else "")


def pack(folder: Path, relative: str) -> bytes:
    """A deterministic tar archive of a file or of a folder's content, with the executable bits kept.

    Raises ScenarioError as `list_tree` does, and when a file cannot be read.
    """
    return make_tar(
        TarFile(file.path, read_bytes(file.source), file.executable) for file in list_tree(folder, relative)
    )


def read_bytes(path: Path) -> bytes:
    """Content of a file; raises ScenarioError when it cannot be read, or has become a link or a special file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode) or os.path.realpath(path.parent) != str(path.parent):
                raise ScenarioError(
                    "is, or lies behind, a link or a special file now", where=str(path), expected=_PLAIN
                )
            content = file.read(facts.st_size + 1)
    except OSError as error:
        raise ScenarioError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if len(content) > facts.st_size:
        raise ScenarioError("is being written to", where=str(path), expected="a file that stays as it is")
    return content
