"""A commit, laid out in a folder from git's objects: no file of a work tree, no filter and no hook has a part in it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.git import git, git_command
from pytest_specbench.core.status import Cause
from pytest_specbench.store.trees import REGULAR, not_here

LINK = "120000"
EXECUTABLE = "100755"
BLOCK = 1 << 20

POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize \d+\n"
)
"""What git holds in the place of a file that Git LFS keeps (the pointer file of its specification, version 1)."""
POINTER_BYTES = 1024


@dataclass(frozen=True)
class _Entry:
    mode: str
    kind: str
    name: str
    path: str


def lay_out(repository: Path, commit: str, into: Path) -> list[str]:
    """Write every file of a commit below the empty folder `into`, and return their paths, relative to it, sorted.

    Links are written as links, submodules as empty folders. A file of Git LFS comes from the repository's own store,
    where that has it with the hash that the commit names; else its pointer stays. Raises BlockedError(CONFIGURATION)
    when git does not hold all of it, or a path leads out of the folder.
    """
    entries = list(_entries(repository, commit))
    for entry in entries:
        if entry.kind != "blob":
            (into / entry.path).mkdir(parents=True, exist_ok=True)
    files = [entry for entry in entries if entry.kind == "blob"]
    with tempfile.TemporaryFile() as wanted:
        wanted.writelines(f"{entry.name}\n".encode() for entry in files)
        wanted.seek(0)
        command, environment = git_command(repository, "cat-file", "--batch")
        with subprocess.Popen(
            command, cwd=repository, env=environment, stdin=wanted, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None  # noqa: S101 - for the type checker: it was asked for
            links = {entry.path: _written(process.stdout, entry, into, commit) for entry in files}
    # Links last: nothing is ever written through one.
    for path, target in links.items():
        if target is not None:
            (into / path).symlink_to(os.fsdecode(target))
    _take_from_lfs(repository, [into / entry.path for entry in files if entry.mode in REGULAR])
    return sorted(entry.path for entry in files)


def _entries(repository: Path, commit: str) -> Iterator[_Entry]:
    listed = git(repository, "ls-tree", "-r", "-z", "--full-tree", commit)
    if listed.code:
        raise BlockedError(
            f"git cannot list the files of {commit}: {listed.error}", cause=Cause.CONFIGURATION, where=str(repository)
        )
    for line in filter(None, listed.out.split(b"\0")):
        facts, _, name = line.partition(b"\t")
        mode, kind, digest = facts.decode("ascii").split()
        path = os.fsdecode(name)
        if any(part in ("", ".", "..") or part.lower() == ".git" for part in path.split("/")):
            raise BlockedError(
                f"the path {path!r} leads out of the tree",
                cause=Cause.CONFIGURATION,
                where=f"{commit} in {repository}",
                hint=f"git -C {repository} fsck",
            )
        yield _Entry(mode, kind, digest, path)


def _written(stream: IO[bytes], entry: _Entry, into: Path, commit: str) -> bytes | None:
    """Take the next object from the stream and write it; a link's target is returned instead."""
    header = stream.readline().split()
    if len(header) != 3 or header[:2] != [entry.name.encode(), b"blob"]:
        raise not_here(f"{entry.path} at {commit}", entry.name)
    left = int(header[2])
    path = into / entry.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.mode == LINK:
        return stream.read(left + 1)[:left]
    with path.open("xb") as file:
        while left:
            block = stream.read(min(left, BLOCK))
            if not block:
                raise not_here(f"{entry.path} at {commit}", entry.name)
            left -= file.write(block)
    stream.read(1)
    if entry.mode == EXECUTABLE:
        path.chmod(path.stat().st_mode | 0o100)
    return None


def _take_from_lfs(repository: Path, paths: Sequence[Path]) -> None:
    """Put the content of Git LFS in the place of its pointers, as far as it is there and is what the pointer names."""
    store: Path | None = None
    for path in paths:
        if path.stat().st_size >= POINTER_BYTES:
            continue
        pointer = POINTER.fullmatch(path.read_bytes())
        if pointer is None:
            continue
        if store is None:
            folder = git(repository, "rev-parse", "--git-common-dir").out.decode("utf-8", "surrogateescape").strip()
            store = repository / folder / "lfs" / "objects"
        digest = pointer[1].decode("ascii")
        kept = store / digest[:2] / digest[2:4] / digest
        aside = path.with_name(f".{digest}")
        try:
            shutil.copyfile(kept, aside)
        except FileNotFoundError:
            continue
        with aside.open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == digest
        if same:
            shutil.copymode(path, aside)
            aside.replace(path)
        else:
            aside.unlink()
