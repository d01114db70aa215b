"""Takes secrets out of files that are already there: what was kept from a sandbox, whoever kept it."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_specbench.core.redact import Redactor
from pytest_specbench.recording.files import write_bytes


def redact_tree(folder: Path, redactor: Redactor) -> None:
    """Redact the content and the names of everything below `folder`; links are left as they are, and not followed.

    Where two names become one, the later one gets a number. Raises OSError where the host cannot write.
    """
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = Path(parent, name)
            if name in files and path.is_file() and not path.is_symlink():
                _redact_file(path, redactor)
            clean = redactor.text(name).replace("/", "_")
            if clean != name:
                path.rename(_free(path.with_name(clean)))


def _redact_file(path: Path, redactor: Redactor) -> None:
    content = path.read_bytes()
    clean = redactor.bytes(content)
    if clean != content:
        write_bytes(path, clean)


def _free(path: Path) -> Path:
    """The path, or one with a number where something is there already."""
    number, candidate = 1, path
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate
