"""Puts files into a local sandbox's folder and takes files out of it, never through a link that leads out."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.sandboxes.archive import Budget, printable
from pytest_specbench.sandboxes.base import SpoiledError
from pytest_specbench.sandboxes.globs import Glob, compile_globs

MAX_DEPTH = 200
"""Levels of folders that are looked through; each holds a file descriptor."""
OBSTACLES = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM}
"""Reasons not to write a file that lie in what is there already."""
GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
"""What may become of a path after its folder was listed."""


def put(archive: bytes, root: Path, workdir: Path, target: str) -> None:
    """Unpack `archive` into `target`, absolute or relative to the workdir, which must lie in the sandbox's `root`.

    Raises SpoiledError when something, such as a link that leads out, is in the way.
    """
    folder = Path(os.path.realpath(workdir / target))
    if not folder.is_relative_to(root.resolve()):
        # A link is something that was put there; a target that is outside by itself is the scenario's.
        meant = os.path.normpath(workdir / target)
        kind = SpoiledError if Path(meant).is_relative_to(root) else InfrastructureError
        raise kind(
            f"{target!r} lies outside the local sandbox's folder",
            hint="use the docker sandbox, which has a file system of its own, or a path relative to the workdir",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(archive)) as source:
            source.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise SpoiledError(f"cannot put files into {target!r}: {error}") from error
    except OSError as error:
        if error.errno not in OBSTACLES:
            raise
        raise SpoiledError(f"cannot put files into {target!r}: {error}") from error


def fetch(workdir: Path, patterns: Sequence[str], max_bytes: int) -> dict[str, bytes]:
    """Regular files that match, keyed by their path relative to the workdir."""
    budget = Budget(max_bytes)
    files: dict[str, bytes] = {}
    for glob in compile_globs(patterns):
        for path, folder, name in _candidates(workdir, glob):
            budget.look()
            if path not in files and glob.matches(path):
                data = _read_regular(folder, name, budget)
                if data is not None:
                    files[path] = data
    return {printable(name): files[name] for name in sorted(files)}


def _candidates(workdir: Path, glob: Glob) -> Iterator[tuple[str, int, str]]:
    """Relative path, descriptor of its folder and name of every file that the glob might mean."""
    prefix = PurePosixPath(glob.prefix)
    start = prefix.parent if glob.exact else prefix
    if not _is_real(workdir, start):
        return
    for folder, folders, names, descriptor in os.fwalk(workdir / start, onerror=_unless_gone, follow_symlinks=False):
        inner = PurePosixPath(Path(folder).relative_to(workdir).as_posix())
        if glob.exact:
            folders.clear()
        if folders and len(inner.parts) >= MAX_DEPTH:
            raise SpoiledError(f"folders are nested more than {MAX_DEPTH} levels deep")
        for name in folders:
            _open_up(name, descriptor)
        for name in names:
            if not glob.exact or name == prefix.name:
                yield str(inner / name), descriptor, name


def _unless_gone(error: OSError) -> None:
    """A folder that cannot be looked into is not left out in silence, unless it was removed since it was listed."""
    if error.errno not in GONE:
        raise error


def _open_up(name: str, parent: int | None = None) -> None:
    """Give a folder of ours back the rights to look into it, so that its modes hide nothing."""
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(name, mode | stat.S_IRWXU, dir_fd=parent)
    except OSError as error:
        _unless_gone(error)


def _is_real(workdir: Path, start: PurePosixPath) -> bool:
    """Whether all components are folders and none is a link."""
    path = workdir
    for part in ("", *start.parts):
        path /= part
        try:
            mode = path.lstat().st_mode
        except OSError:
            return False
        if not stat.S_ISDIR(mode):
            return False
        _open_up(str(path))
    return True


def _read_regular(folder: int, name: str, budget: Budget) -> bytes | None:
    """Content of a regular file; None for anything else, and for what is removed meanwhile. Opened without following a
    link or waiting for a pipe.
    """
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode):
            return None
        if not mode & stat.S_IRUSR:
            os.chmod(name, mode | stat.S_IRUSR, dir_fd=folder)
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        _unless_gone(error)
        return None
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return None
        budget.take(facts.st_size)
        return file.read(facts.st_size)
