"""Files that are either wholly there or not at all, and their hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pytest_specbench.core.errors import InfrastructureError

DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""Errors by which a system says that a disk takes nothing, whatever is asked of it."""


def unwritable(error: OSError) -> InfrastructureError:
    """What is raised instead of the system's own error where the artifacts cannot be written: the host's failure."""
    return InfrastructureError(
        f"cannot write the artifacts: {error.strerror or type(error).__name__}",
        hint="see that the disk of the artifacts has room",
    )


def disk_failure(error: Exception) -> InfrastructureError | None:
    """The failure of the host's disk that an error tells of, whoever ran into it; None for any other error."""
    return unwritable(error) if isinstance(error, OSError) and error.errno in DISK_FAULTS else None


def write_json(path: Path, data: BaseModel | Mapping[str, Any] | Sequence[Any]) -> None:
    """Write JSON (UTF-8, two spaces, keys in their order, a newline at the end) atomically and synced.

    Raises ValueError for NaN and infinity, which JSON does not have, and TypeError for what is no plain data; the file
    is then left as it was.
    """
    plain = data.model_dump(mode="json") if isinstance(data, BaseModel) else data
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=2)
    write_bytes(path, text.encode("utf-8", "replace") + b"\n")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file through a temporary one in the same folder, synced, then renamed. The folder must exist."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def append_whole(descriptor: int, data: bytes) -> None:
    """Append `data` to a file that only we write; where the disk does not take all of it, nothing is appended."""
    size = os.fstat(descriptor).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        with suppress(OSError):  # why nothing could be written is what counts
            os.ftruncate(descriptor, size)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_tree(folder: Path, *, without: str | None = None) -> dict[str, str]:
    """sha256 of every regular file below `folder`, keyed and sorted by its relative POSIX path; links are left out, and
    so are the folders directly in it whose name begins with `without`.
    """
    files: list[Path] = []
    for root, folders, names in os.walk(folder, followlinks=False):
        if without is not None and Path(root) == folder:
            folders[:] = [name for name in folders if not name.startswith(without)]
        files += [Path(root, name) for name in names]
    regular = [path for path in files if path.is_file() and not path.is_symlink()]
    named = {path.relative_to(folder).as_posix(): path for path in regular}
    return {name: sha256_file(named[name]) for name in sorted(named)}


def safe_name(text: str) -> str:
    """A file name made from any text: letters, digits, dots, dashes and underscores, at most 100 characters.

    Different texts keep different names: where something had to be changed, a hash of the text is appended.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    plain = plain.lstrip(".-")[:80]
    if plain == text and plain:
        return plain
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{plain or 'name'}-{digest}"


def update_latest(root: Path, run_folder: Path) -> None:
    """Let `root/latest` point at a run folder below `root`, by a relative link that is replaced atomically.

    Raises ValueError when `run_folder` is no folder below `root`, FileExistsError when `latest` is something else than
    a link; neither changes anything. OSError where links are impossible.
    """
    target = run_folder.resolve()
    base = root.resolve()
    if not target.is_dir() or base not in target.parents:
        raise ValueError(f"{run_folder} is no run folder below {root}")
    link = base / "latest"
    if link.exists() and not link.is_symlink():
        raise FileExistsError(f"{link} is no link; move it away, it is where the newest run is found")
    temporary = base / f".latest.{os.getpid()}.{os.urandom(4).hex()}"
    temporary.symlink_to(target.relative_to(base), target_is_directory=True)
    try:
        temporary.replace(link)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(base)
