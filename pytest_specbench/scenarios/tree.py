"""Files and folders beside a scenario: which there are, and that they are nothing but plain files of its own."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pytest_specbench.core.errors import ScenarioError
from pytest_specbench.core.tar import TarFile, make_tar

LEFT_OUT = frozenset({"__pycache__", ".DS_Store"})
"""What tools drop beside files as they look at them; it is neither copied nor hashed."""


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
    here, mode = _resolve(folder, relative)
    if stat.S_ISREG(mode):
        return [TreeFile(here.name, here, bool(mode & stat.S_IXUSR))]
    found = sorted(_below(here, here), key=lambda entry: entry.path)
    if not found:
        raise ScenarioError(f"the folder {relative!r} holds no file", expected="a folder with at least one file")
    return found


def require_file(folder: Path, relative: str) -> Path:
    """The path of a single regular file; raises ScenarioError as `list_tree` does, and when it is a folder."""
    path, mode = _resolve(folder, relative)
    if stat.S_ISDIR(mode):
        raise ScenarioError(f"{relative!r} is a folder", expected="a file")
    return path


def _resolve(folder: Path, relative: str) -> tuple[Path, int]:
    """The path and mode of a file or folder, with no link on the way. On plain strings: it runs for every scenario."""
    here, mode = str(folder), stat.S_IFDIR
    for part in relative.split("/"):
        if part in ("", "."):
            continue
        below = f"{here}/{part}"
        try:
            mode = os.lstat(below).st_mode
        except OSError:
            raise ScenarioError(
                f"there is no {relative!r} beside the scenario", expected=_nearest(Path(here), part)
            ) from None
        if stat.S_ISLNK(mode):
            raise ScenarioError(f"{relative!r} is or goes through a symbolic link, {part!r}", expected=_PLAIN)
        here = below
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ScenarioError(f"{relative!r} is neither a file nor a folder", expected=_PLAIN)
    return Path(here), mode


_PLAIN = "plain files inside the scenario's folder, without links"


def _below(root: Path, folder: Path) -> list[TreeFile]:
    found: list[TreeFile] = []
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise ScenarioError(f"cannot be read: {error.strerror}", where=str(folder)) from error
    for entry in entries:
        if entry.name in LEFT_OUT:
            continue
        path = Path(entry.path)
        name = path.relative_to(root).as_posix()
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            found += _below(root, path)
        elif stat.S_ISREG(mode):
            found.append(TreeFile(name, path, bool(mode & stat.S_IXUSR)))
        else:
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "a special file"
            raise ScenarioError(f"the folder {root.name!r} holds {kind}, {name!r}", expected=_PLAIN)
    return found


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
    """Content of a file; raises ScenarioError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"cannot be read: {error.strerror}", where=str(path)) from error
