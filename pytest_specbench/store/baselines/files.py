"""Files of the baseline folder: wholly there or not at all, and durable before anything rests on them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pytest_specbench.store.placing import place

TEMPORARY = ".tmp"
"""How temporary names end; they begin with a dot."""


def new_file(path: Path, data: bytes) -> None:
    """Write a file that is not there yet; its folder is made when it is missing. FileExistsError: it is there."""
    temporary = _temporary(path, data)
    try:
        place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file, whether it is there or not; its folder is made when it is missing."""
    temporary = _temporary(path, data)
    try:
        os.replace(temporary, path)  # noqa: PTH105 - the tests that kill at every step hold on to this name
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def move(source: Path, target: Path) -> None:
    """Give a file or folder another name in the same folder, durably."""
    os.replace(source, target)  # noqa: PTH105 - as above
    sync(target.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durably."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary(path: Path, data: bytes) -> Path:
    make_folder(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=TEMPORARY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        Path(name).chmod(0o644)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)
