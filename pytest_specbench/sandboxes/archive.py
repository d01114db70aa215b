"""Tar archives that go into a sandbox and come out of it: made the same way every time, read without trust."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pytest_specbench.core.errors import InfrastructureError, ScenarioError


@dataclass(frozen=True)
class Entry:
    """A regular file to be packed."""

    data: bytes
    mode: int = 0o644


def pack(files: Mapping[str, bytes | Entry], *, mtime: int = 0) -> bytes:
    """Return a tar archive of `files`, relative path -> content; the same bytes for the same content.

    Sorted, uid and gid 0; `mtime` in seconds since 1970. Raises ValueError for a path that leaves the target folder.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(files):
            if safe_name(name) != name:
                raise ValueError(f"archive path {name!r} must be relative, normalised and without '..'")
            value = files[name]
            entry = value if isinstance(value, Entry) else Entry(value)
            _add(archive, name, entry, mtime)
    return buffer.getvalue()


def pack_path(source: Path, *, mtime: int = 0) -> bytes:
    """Return a tar archive of a file (under its own name) or of a folder's content, empty folders included.

    Modes become 0755 or 0644, so that the archive does not depend on who checked the files out. Raises ScenarioError
    naming the file when there is a link or a special file.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, path in _walk(source):
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                _add(archive, name, None, mtime)
            elif stat.S_ISREG(mode):
                _add(archive, name, Entry(path.read_bytes(), 0o755 if mode & stat.S_IXUSR else 0o644), mtime)
            else:
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "a special file"
                raise ScenarioError(
                    f"is {kind}, which is not copied into a sandbox",
                    where=str(path),
                    expected="a regular file or a folder",
                    hint=f"replace it by a copy of what it stands for, or remove it: {path}",
                )
    return buffer.getvalue()


def _walk(source: Path) -> list[tuple[str, Path]]:
    if not source.is_dir() or source.is_symlink():
        return [(source.name, source)]
    found = []
    for folder, folders, names in os.walk(source):
        for name in (*folders, *names):
            path = Path(folder, name)
            found.append((path.relative_to(source).as_posix(), path))
    return sorted(found)


def _add(archive: tarfile.TarFile, name: str, entry: Entry | None, mtime: int) -> None:
    """Add a file, or a folder where `entry` is None."""
    info = tarfile.TarInfo(name)
    info.mtime = mtime
    if entry is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(info)
    else:
        info.size, info.mode = len(entry.data), entry.mode
        archive.addfile(info, io.BytesIO(entry.data))


def pack_directory(name: str, *, owner: tuple[int, int] = (0, 0)) -> bytes:
    """Return an archive that holds nothing but the folder `name`, owned by `owner` (uid, gid)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        info.uid, info.gid = owner
        archive.addfile(info)
    return buffer.getvalue()


def reown(archive: bytes, owner: tuple[int, int]) -> bytes:
    """Return `archive` with everything in it owned by `owner` (uid, gid)."""
    if owner == (0, 0):
        return archive
    buffer = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as source, tarfile.open(fileobj=buffer, mode="w") as target:
        for info in source:
            info.uid, info.gid = owner
            target.addfile(info, source.extractfile(info) if info.isreg() else None)
    return buffer.getvalue()


def safe_name(name: str) -> str | None:
    """Normalise a relative path; None for what is absolute, climbs or is empty."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        return None
    return str(path)


def printable(name: str) -> str:
    """A file name as text that can be written as JSON: bytes that are no UTF-8 are shown as `\\xNN`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass
class Budget:
    """How many bytes may still be kept, in all archives of one request."""

    max_bytes: int
    used: int = 0

    def take(self, size: int) -> None:
        """Raises InfrastructureError when that was too much."""
        self.used += size
        if self.used > self.max_bytes:
            raise InfrastructureError(
                f"the files to fetch hold more than {self.max_bytes} bytes",
                hint="name fewer or smaller files, for example a narrower glob in success_artifacts",
            )


@dataclass
class Found:
    """What was read: regular files by path, and the names of hard links, whose content is elsewhere."""

    files: dict[str, bytes] = field(default_factory=dict)
    hardlinks: list[str] = field(default_factory=list)


def read_regular(chunks: Iterator[bytes], path_of: Callable[[str], str | None], budget: Budget) -> Found:
    """Read the regular files of a streamed tar archive that did not come from us.

    `path_of` turns a member's normalised name into the path to keep it under, or None to pass it over. Links, devices
    and names that are absolute or climb are left out. Stops reading as soon as `budget` is exceeded.
    """
    found = Found()
    try:
        with tarfile.open(fileobj=_Chunks(chunks), mode="r|") as archive:
            for member in archive:
                name = safe_name(member.name)
                path = path_of(name) if name and (member.isreg() or member.islnk()) else None
                if path is None:
                    continue
                if member.islnk():
                    found.hardlinks.append(path)
                    continue
                budget.take(member.size)
                source = archive.extractfile(member)
                found.files[path] = source.read() if source else b""
    except tarfile.TarError as error:
        raise InfrastructureError(f"the sandbox gave an archive that cannot be read: {error}") from error
    return found


class _Chunks(io.RawIOBase):
    """A readable file over chunks, as tarfile's stream mode wants it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = chunk
        size = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
