"""Gives a finished file its name where nothing has that name yet, on file systems without hard links, too."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
"""How a file system without hard links refuses one: many network and FUSE ones have none, nor FAT."""
_PLACING_SEC = 10.0


def place(made: Path, path: Path) -> None:
    """Move `made` to `path` in the same folder, and never over what is there.

    Raises FileExistsError, and OSError (TimeoutError where another process of this machine does not let go of `path`).
    `made` is left where it is in either case.
    """
    try:
        os.link(made, path)  # unlike a rename, it does not replace what is there
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename(made, path)
    else:
        with suppress(OSError):  # it has its name, whatever becomes of the other one
            made.unlink()


@contextmanager
def alone_with(path: Path, seconds: float) -> Iterator[None]:
    """One process of this machine at a time; the mutex lies outside of the folder. TimeoutError after that long."""
    from filelock import FileLock, Timeout  # it brings asyncio with it, and is seldom needed

    digest = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    try:
        with FileLock(Path(tempfile.gettempdir()) / f"specbench-{os.getuid()}-{digest}.mutex", timeout=seconds):
            yield
    except Timeout:
        raise TimeoutError(f"another process has held {path} for {seconds:.0f} s") from None


def _rename(made: Path, path: Path) -> None:
    with alone_with(path, _PLACING_SEC):
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        made.replace(path)
