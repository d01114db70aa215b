"""Archives and folders from elsewhere, brought into a folder of ours without trust: files and folders, nothing else."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

MAX_ENTRIES = 200_000
"""The most files and folders of one source."""
MAX_BYTES = 2_000_000_000
"""The most bytes of one source, unpacked."""
MAX_HEADER = 65_536
"""The most bytes of one extended tar header: it is read as a whole."""
SHOWN = 20
"""How many problems of one source are told; the rest is counted."""
_CHUNK = 1 << 20
_LINKS = {"run-metadata.json": "run_metadata.json"}
"""The links that runs make beside their files: name -> target."""

_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile, OSError, RuntimeError,
    NotImplementedError, ValueError,
)  # fmt: skip


_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class UnpackError(Exception):
    """A source that is not taken. `problems` holds everything that is wrong with it, a sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass
class Limits:
    """How much one source may hold."""

    entries: int = MAX_ENTRIES
    size: int = MAX_BYTES


@dataclass
class _Target:
    """Takes files into a folder, and remembers what it did not take."""

    folder: Path
    limits: Limits
    problems: list[str] = field(default_factory=list)
    entries: int = 0
    used: int = 0

    def look(self) -> None:
        """Count an entry. Raises UnpackError when there are too many."""
        self.entries += 1
        if self.entries > self.limits.entries:
            raise UnpackError([f"it has more than {self.limits.entries} files and folders; import it in parts"])

    def place(self, name: str) -> Path | None:
        """Where a file or folder of that name goes; None, and a problem, for a name that leads anywhere else."""
        pure = PurePosixPath(name)
        bad = pure.is_absolute() or ".." in pure.parts or "\0" in name or "\\" in name
        if bad or (pure.parts and ":" in pure.parts[0]):
            self.problem(f"{name!r}: a name that leads out of the folder")
            return None
        try:
            name.encode()
        except UnicodeEncodeError:
            self.problem(f"{name!r}: a name that is no UTF-8")
            return None
        return self.folder / pure

    def problem(self, what: str) -> None:
        """Remember what is wrong."""
        self.problems.append(what)

    def link(self, name: str, target: str) -> None:
        """A link: passed over when runs make it themselves, else a problem."""
        pure = PurePosixPath(name)
        if pure.name == "latest" and len(PurePosixPath(target).parts) == 2:
            return  # which run is the newest here is not for others to say
        place = self.place(name) if _LINKS.get(pure.name) == target else None
        if place is None:
            self.problem(f"{name!r}: a link")
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)

    def make(self, name: str) -> None:
        """Make a folder."""
        place = self.place(name)
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, source: IO[bytes]) -> None:
        """Write a file, counting what really comes."""
        place = self.place(name)
        if place is None:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as file:
            while chunk := source.read(_CHUNK):
                self.used += len(chunk)
                if self.used > self.limits.size:
                    raise UnpackError([f"it unpacks to more than {self.limits.size} bytes; import it in parts"])
                file.write(chunk)


def unpack(source: Path, folder: Path, limits: Limits | None = None) -> None:
    """Bring what a .zip or .tar (also .gz, .bz2, .xz) archive, or a folder, holds into `folder`, which is there.

    Raises UnpackError for one that holds anything but files, folders and the links that runs make themselves,
    a name that is absolute, climbs or is there twice, too much, or that cannot be read.
    """
    target = _Target(folder, limits or Limits())
    try:
        if source.is_dir():
            _copy(source, target)
        elif not source.is_file():
            target.problem(
                "it is neither a folder nor an archive" if os.path.lexists(source) else "there is no such path"
            )
        elif zipfile.is_zipfile(source):
            _unzip(source, target)
        else:
            _untar(source, target)
    except FileExistsError as error:
        target.problem(f"{_relative(error.filename, folder)}: a name that is there twice")
    except (NotADirectoryError, IsADirectoryError) as error:
        target.problem(f"{_relative(error.filename, folder)}: a file and a folder at once")
    except UnpackError as error:
        target.problems += error.problems
    except _BROKEN as error:
        target.problem(f"it cannot be read: {error or type(error).__name__}")
    if target.problems:
        more = len(target.problems) - SHOWN
        raise UnpackError(target.problems[:SHOWN] + ([f"... and {more} more"] if more > 0 else []))


def _relative(name: str | bytes | None, folder: Path) -> str:
    return repr(os.path.relpath(os.fsdecode(name), folder)) if name else "a file"


def _copy(source: Path, target: _Target) -> None:
    for root, folders, files in os.walk(source, onerror=_raise, followlinks=False):
        for name in sorted(folders):
            path = Path(root, name)
            target.look()
            relative = path.relative_to(source).as_posix()
            if path.is_symlink():
                target.link(relative, os.readlink(path))  # noqa: PTH115 - as it is written, not as a path
            else:
                target.make(relative)
        for name in sorted(files):
            path = Path(root, name)
            target.look()
            relative = path.relative_to(source).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                target.link(relative, os.readlink(path))  # noqa: PTH115 - as above
            elif not stat.S_ISREG(mode):
                target.problem(f"{relative!r}: neither a file nor a folder")
            else:
                with path.open("rb") as file:
                    target.write(relative, file)


def _raise(error: OSError) -> None:
    raise error


def _unzip(source: Path, target: _Target) -> None:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            target.look()
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir():
                target.make(member.filename)
            elif kind == stat.S_IFLNK:
                target.link(member.filename, archive.read(member).decode("utf-8", "replace") if _short(member) else "")
            elif kind not in (0, stat.S_IFREG):
                target.problem(f"{member.filename!r}: neither a file nor a folder")
            else:
                with archive.open(member) as file:
                    target.write(member.filename, file)


def _short(member: zipfile.ZipInfo) -> bool:
    return member.file_size <= 4096 and member.compress_size <= 4096


class _Member(tarfile.TarInfo):
    """A member whose extended headers are of a sane size: they are read into memory as they are."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        extended = (
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if self.type in extended and self.size > MAX_HEADER:
            raise UnpackError([f"a tar header of {self.size} bytes"])
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise UnpackError([f"{self.name!r}: a sparse file"])
        proceed = super()._proc_member  # type: ignore[misc]  # typeshed leaves it out; tarfile says it may be overridden
        found: tarfile.TarInfo = proceed(archive)
        return found


def _untar(source: Path, target: _Target) -> None:
    with _decompressed(source) as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
        headers: list[tarfile.TarInfo] = archive.members  # type: ignore[attr-defined]  # typeshed leaves it out
        for member in _members(archive, target):
            headers.clear()  # or those of all files would be kept
            if member.isdir():
                target.make(member.name)
            elif member.issym():
                target.link(member.name, member.linkname)
            elif not member.isreg():
                target.problem(f"{member.name!r}: {'a link' if member.islnk() else 'neither a file nor a folder'}")
            elif member.size > target.limits.size:
                raise UnpackError([f"it unpacks to more than {target.limits.size} bytes; import it in parts"])
            else:
                file = archive.extractfile(member)
                if file is not None:
                    target.write(member.name, file)
        if not target.entries:
            raise tarfile.ReadError("an empty archive")


def _members(archive: tarfile.TarFile, target: _Target) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        target.look()
        yield member


def _decompressed(source: Path) -> IO[bytes]:
    """The archive's bytes, by what its first bytes say it is packed with."""
    with source.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(source))
    if magic.startswith(b"BZh"):
        return bz2.open(source)
    if magic.startswith(b"\xfd7zXZ\0"):
        return lzma.open(source)
    return source.open("rb")
