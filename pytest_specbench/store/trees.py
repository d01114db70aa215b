"""A tree of files to read from: a folder, a folder as it is at a git ref, or one laid over another."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.git import commit_of, git
from pytest_specbench.core.status import Cause

MAX_BYTES = 50_000_000
SMALL_BYTES = 1_000_000
REGULAR = ("100644", "100755")
"""Modes of regular files in git."""
UNUSABLE = "the baselines cannot be used: "


class Tree(Protocol):
    """Files below a root. Names are relative to it, with slashes."""

    @property
    def label(self) -> str:
        """What to call it in a message: a path, or `baselines at origin/main`."""
        ...

    def names(self, folder: str = "") -> list[str]:
        """The sorted names in a folder; none where there is no such folder."""
        ...

    def read(self, path: str) -> bytes | None:
        """The content of a file; None where there is none. BlockedError(BASELINE_INVALID) when it is no regular file,
        a link, too large or unreadable, or when what should be a folder is none.
        """
        ...


class FolderTree:
    """A folder of this machine. The root itself may be a link; nothing below it may be. `required`: somebody named the
    root, so that it must be there.
    """

    def __init__(self, root: Path, *, required: bool = False) -> None:
        self.root = root
        self.required = required

    @property
    def label(self) -> str:
        """The path of the root."""
        return str(self.root)

    def names(self, folder: str = "") -> list[str]:
        """As the protocol says."""
        place = self.root / folder
        try:
            return sorted(path.name for path in place.iterdir()) if self._enter(folder) else []
        except OSError as error:
            raise unusable(str(place), str(error)) from None

    def read(self, path: str) -> bytes | None:
        """As the protocol says."""
        place = self.root / path
        try:
            if not self._enter(path.rpartition("/")[0]) or not os.path.lexists(place):
                return None
            # A pipe would never open, and a link would show what lies somewhere else.
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise unusable(str(place), "it is no regular file")
                if found.st_size > MAX_BYTES:
                    raise unusable(str(place), f"it is larger than {MAX_BYTES} bytes")
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    return file.read(MAX_BYTES)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return None  # it was there a moment ago
        except OSError as error:
            raise unusable(str(place), _said(place, error)) from None

    def _enter(self, folder: str) -> bool:
        """Whether there is such a folder. Raises BlockedError when something else stands in its place."""
        if not os.path.lexists(self.root):
            if self.required:
                raise unusable(str(self.root), "there is no such folder", "the baseline folder that was asked for")
            return False
        if not self.root.is_dir():
            raise unusable(str(self.root), "it is no folder", "a folder that holds one folder a scenario")
        place = self.root
        for part in filter(None, folder.split("/")):
            place /= part
            if not os.path.lexists(place):
                return False
            if not stat.S_ISDIR(place.lstat().st_mode):
                raise unusable(str(place), "it is no folder", "a folder, and no link to one")
        return True


@dataclass(frozen=True)
class _Blob:
    mode: str
    kind: str
    name: str


class GitTree:
    """A folder as it is at a git ref. The ref is resolved once; what happens to it later changes nothing.

    `folder` is relative to the repository's top, "" for all of it; `called` is what messages call the ref.
    BlockedError(CONFIGURATION) when the ref does not resolve.
    """

    def __init__(self, repository: Path, ref: str, folder: str, *, called: str | None = None) -> None:
        self.repository = repository
        self.ref = called or ref
        self.folder = folder.strip("/")
        self.commit = commit_of(repository, ref)
        self._folders: dict[str, dict[str, _Blob]] | None = None
        self._content: dict[str, bytes] = {}

    @property
    def label(self) -> str:
        """The folder and the ref."""
        return f"{self.folder} at {self.ref}" if self.folder else self.ref

    def names(self, folder: str = "") -> list[str]:
        """As the protocol says."""
        self._refuse_no_folder(folder)
        return sorted(self._listing().get(self._full(folder), {}))

    def read(self, path: str) -> bytes | None:
        """As the protocol says."""
        parent, _, name = self._full(path).rpartition("/")
        self._refuse_no_folder(path.rpartition("/")[0])
        blob = self._listing().get(parent, {}).get(name)
        if blob is None:
            return None
        if blob.kind != "blob" or blob.mode not in REGULAR:
            raise unusable(f"{path} in {self.label}", "it is no regular file")
        if blob.name not in self._content:
            sizes = self._sizes(self._alike(parent, name))
            if sizes[blob.name] > MAX_BYTES:
                raise unusable(f"{path} in {self.label}", f"it is larger than {MAX_BYTES} bytes")
            small = {one for one, size in sizes.items() if size <= SMALL_BYTES}
            self._fetch(sorted({blob.name, *small} - set(self._content)))
        return self._content[blob.name]

    def _alike(self, parent: str, name: str) -> list[str]:
        """Files of the same kind in the same folder: who reads one reads the others, and a process is dear."""
        suffix = name.rpartition(".")[2]
        return [
            one.name
            for other, one in self._listing()[parent].items()
            if other.rpartition(".")[2] == suffix and one.kind == "blob" and one.mode in REGULAR
        ]

    def _sizes(self, names: list[str]) -> dict[str, int]:
        """The sizes of objects, by their names. One that git cannot give blocks."""
        answer = git(self.repository, "cat-file", "--batch-check", given=("\n".join(names) + "\n").encode())
        found = [line.split() for line in answer.out.decode("ascii", "replace").splitlines()]
        for name, line in zip(names, found, strict=False):
            if line[:2] != [name, "blob"]:
                raise not_here(self.label, name)
        if answer.code or len(found) != len(names):
            raise unusable(self.label, f"git cat-file failed: {answer.error}")
        return {line[0]: int(line[2]) for line in found}

    def _full(self, path: str) -> str:
        return "/".join(part for part in (self.folder, path.strip("/")) if part)

    def _refuse_no_folder(self, folder: str) -> None:
        """A file, a link or a submodule in the place of a folder, at any depth."""
        parts = self._full(folder).split("/")
        for depth in range(len(parts) if parts != [""] else 0):
            blob = self._listing().get("/".join(parts[:depth]), {}).get(parts[depth])
            if blob is not None and blob.kind != "tree":
                raise unusable(f"{'/'.join(parts[: depth + 1])} at {self.ref}", "it is no folder", "a folder")

    def _listing(self) -> dict[str, dict[str, _Blob]]:
        """Folder -> name -> what it is, of all that lies below our folder, and of the folders that lead to it."""
        if self._folders is None:
            pathspec = ["--", self.folder] if self.folder else []
            answer = git(self.repository, "ls-tree", "-r", "-t", "-z", "--full-tree", self.commit, *pathspec)
            if answer.code:
                raise unusable(self.label, f"git ls-tree failed: {answer.error}")
            self._folders = {}
            for line in filter(None, answer.out.split(b"\0")):
                facts, _, path = line.partition(b"\t")
                mode, kind, name = facts.decode("ascii").split()
                parent, _, last = os.fsdecode(path).rpartition("/")
                self._folders.setdefault(parent, {})[last] = _Blob(mode, kind, name)
        return self._folders

    def _fetch(self, names: list[str]) -> None:
        """Read objects, all with one process. One that git cannot give blocks."""
        answer = git(self.repository, "cat-file", "--batch", given=("\n".join(names) + "\n").encode())
        at = 0
        for name in names:
            end = answer.out.find(b"\n", at)
            header = answer.out[at:end].split()
            if answer.code or end < 0 or len(header) != 3 or header[:2] != [name.encode(), b"blob"]:
                raise unusable(self.label, f"git cat-file gave no object {name}: {answer.error}")
            size = int(header[2])
            self._content[name] = answer.out[end + 1 : end + 1 + size]
            at = end + size + 2


class OverlayTree:
    """`base` with the files `added` of another tree; what `base` holds is never replaced."""

    def __init__(self, base: Tree, other: Tree, added: Collection[str]) -> None:
        self.base = base
        self.other = other
        self.added = frozenset(added)

    @property
    def label(self) -> str:
        """The base's, since that is what counts."""
        return f"{self.base.label}, with what was approved since"

    def names(self, folder: str = "") -> list[str]:
        """As the protocol says."""
        prefix = f"{folder}/" if folder else ""
        below = {path.removeprefix(prefix).partition("/")[0] for path in self.added if path.startswith(prefix)}
        return sorted({*self.base.names(folder), *below})

    def read(self, path: str) -> bytes | None:
        """As the protocol says."""
        found = self.base.read(path)
        return self.other.read(path) if found is None and path in self.added else found


def unusable(
    where: str, why: str, expected: str = "a well-formed file, as `specbench baseline approve` writes it"
) -> BlockedError:
    """What to raise for a file or folder of the baselines that cannot be used."""
    return BlockedError(
        UNUSABLE + why,
        cause=Cause.BASELINE_INVALID,
        where=where,
        expected=expected,
        hint="specbench baseline verify, and restore it from version control",
    )


def reason(error: BlockedError) -> str:
    """What is wrong, where a sentence before says already that something is."""
    return error.message.removeprefix(UNUSABLE)


def not_here(where: str, name: str) -> BlockedError:
    """What to raise for an object that the repository does not hold: nothing is fetched in the middle of a run."""
    return BlockedError(
        f"the object {name} is not in the repository",
        cause=Cause.CONFIGURATION,
        where=where,
        expected="a repository that holds every file of the ref; a partial clone leaves some out",
        hint="git fetch --refetch --no-filter, or clone without --filter",
    )


def _said(place: Path, error: OSError) -> str:
    return "it is a link, and no regular file" if place.is_symlink() else str(error)
