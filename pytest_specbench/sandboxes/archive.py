"""Tar archives on their way into a sandbox, and those that come out of it, which are read without trust."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Self

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.sandboxes.base import FetchTooLargeError

MAX_FILES = 10_000
"""The most files that one fetch takes."""
STREAM_LIMIT = 1_000_000_000
"""Most bytes that are streamed for one fetch, wanted files or not: a sparse file may pretend to be endless."""
MAX_ENTRIES = 250_000
"""The most files and folders that one fetch looks through."""
MAX_HEADER = 1_000_000
"""Longest further header (a long name, attributes): it is read at once, before anything is known of its file."""
RAW_LIMIT = STREAM_LIMIT + 2_048 * MAX_ENTRIES
"""Most bytes that are taken from a stream, headers included."""
_FURTHER_HEADERS = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}


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
    """How much may still be looked through and kept, in all archives or folders of one fetch."""

    max_bytes: int
    used: int = 0
    files: int = 0
    entries: int = 0
    streamed: int = 0

    def look(self, size: int = 0) -> None:
        """Count a file or folder that is looked at, and `size` bytes that are about to be streamed for it, wanted or
        not. Raises FetchTooLargeError when that is too much.
        """
        self.entries += 1
        self.streamed += size
        if self.streamed > STREAM_LIMIT:
            raise FetchTooLargeError(f"the files to look through hold more than {STREAM_LIMIT} bytes", hint=_WHOLE)
        if self.entries > MAX_ENTRIES:
            raise FetchTooLargeError(f"there are more than {MAX_ENTRIES} files to look through", hint=_HINT)

    def take(self, size: int) -> None:
        """Count a file that is wanted. Raises FetchTooLargeError when that was too much."""
        self.used += size
        self.files += 1
        if self.used > self.max_bytes:
            raise FetchTooLargeError(f"the files to fetch hold more than {self.max_bytes} bytes", hint=_HINT)
        if self.files > MAX_FILES:
            raise FetchTooLargeError(f"there are more than {MAX_FILES} files to fetch", hint=_HINT)


_WHOLE = "name the files by a narrower glob: the whole folder before the first wildcard is looked through"
_HINT = "name fewer or smaller files, for example by a narrower glob in success_artifacts"


@dataclass
class Found:
    """What was read: regular files by path, and further names of files whose content is elsewhere."""

    files: dict[str, bytes] = field(default_factory=dict)
    hardlinks: dict[str, str | None] = field(default_factory=dict)
    """Path -> path of the first name, where that is wanted too."""


def read_regular(chunks: Iterator[bytes], path_of: Callable[[str], str | None], budget: Budget) -> Found:
    """Read the regular files of a streamed tar archive that did not come from us.

    `path_of` turns a member's normalised name into the path to keep it under, or None to pass it over. Links, devices
    and names that are absolute or climb are left out. Stops reading as soon as `budget` is exceeded.
    """
    found = Found()

    def wanted(name: str) -> str | None:
        plain = safe_name(name)
        return path_of(plain) if plain else None

    try:
        with tarfile.open(fileobj=_Chunks(chunks), mode="r|", tarinfo=_Member) as archive:
            headers: list[tarfile.TarInfo] = archive.members  # type: ignore[attr-defined]  # typeshed leaves it out
            for member in archive:
                headers.clear()  # or those of all files that there are would be kept
                _refuse_negative(member.size)
                budget.look(member.size)  # before any of it is read
                path = wanted(member.name) if member.isreg() or member.islnk() else None
                if path is None:
                    continue
                if member.islnk():
                    found.hardlinks[path] = wanted(member.linkname)
                    continue
                budget.take(member.size)
                source = archive.extractfile(member)
                found.files[path] = source.read() if source else b""
    except (tarfile.TarError, EOFError, *_NONSENSE) as error:
        raise InfrastructureError(f"the sandbox gave an archive that cannot be read: {error}") from error
    return found


_NONSENSE = (ValueError, ArithmeticError, LookupError, TypeError)
"""What tarfile raises besides its own errors for fields that are no numbers, too large or in no known encoding."""


def _refuse_negative(size: int) -> None:
    if size < 0:  # it would give back what was counted already
        raise tarfile.ReadError(f"a member of {size} bytes")


class _Member(tarfile.TarInfo):
    """A header that is believed only so far. By itself tarfile takes a broken header behind the first for the end of
    the archive, so that files would seem not to be there.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # typeshed leaves it out
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error}, where a file or the end is due") from None
        _refuse_negative(info.size)
        if info.type in _FURTHER_HEADERS and info.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {info.size} bytes")
        return info


class _Chunks(io.RawIOBase):
    """A readable file over chunks, as tarfile's stream mode wants it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self._taken = 0

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = chunk
            self._taken += len(chunk)
            if self._taken > RAW_LIMIT:
                raise FetchTooLargeError(f"the archive to look through holds more than {RAW_LIMIT} bytes", hint=_WHOLE)
        size = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
