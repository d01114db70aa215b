"""Deterministic tar archives: the same files give the same bytes on every machine and at every time."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

EPOCH = 1_577_836_800
"""Modification time of everything in an archive: 2020-01-01T00:00:00Z. Zip tools refuse times before 1980."""

LEFT_OUT = frozenset({".git", "__pycache__", ".DS_Store"})
"""Names that tools make beside the files of a folder; what is called so is neither packed nor hashed."""


@dataclass(frozen=True)
class TarFile:
    """A regular file to pack: `path` is relative, with '/'."""

    path: str
    content: bytes
    executable: bool = False


def make_tar(files: Iterable[TarFile]) -> bytes:
    """Pack files, and the folders that they need, sorted by path, owned by root, with modes 755 and 644.

    Raises ValueError for a path that is absolute, climbs out, or is there twice.
    """
    packed = sorted(files, key=lambda file: file.path)
    buffer = io.BytesIO()
    folders: set[str] = set()
    names: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in packed:
            path = PurePosixPath(file.path)
            if path.is_absolute() or ".." in path.parts or path == PurePosixPath() or str(path) in names:
                raise ValueError(f"cannot pack {file.path!r}: it must be a relative path inside the archive, once")
            names.add(str(path))
            for parent in reversed(path.parents[:-1]):
                if str(parent) not in folders:
                    folders.add(str(parent))
                    archive.addfile(_member(str(parent), tarfile.DIRTYPE, executable=True))
            member = _member(str(path), tarfile.REGTYPE, executable=file.executable)
            member.size = len(file.content)
            archive.addfile(member, io.BytesIO(file.content))
    return buffer.getvalue()


def _member(name: str, kind: bytes, *, executable: bool) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.mode = 0o755 if executable else 0o644
    member.mtime = EPOCH
    return member
