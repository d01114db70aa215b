"""What a process that runs where a trusted ref is laid out has to know: what it judges, and where that lies."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_specbench.core.model import Record

ENVIRONMENT = "_SPECBENCH_LAID_OUT"
"""Variable that leads such a process, and its workers, to the file that holds this record."""


class LaidOut(Record):
    """A trusted ref that is laid out, and the work tree that is held against it."""

    ref: str
    """The ref as it was given."""
    commit: str
    """The commit that it stands for: everything that judges is this commit's."""
    folder: Path
    """Where it is laid out, absolute, links resolved. It is a folder of this run alone, and is removed with it."""
    work_tree: Path
    """Top of the work tree, absolute, links resolved: what is under test lies here, and artifacts go here."""
    here: Path
    """The working directory in which the run was asked for."""
    argv: tuple[str, ...] = ()
    """The command line by which it was asked for."""
    altered: tuple[str, ...] = ()
    """What the work tree has otherwise than the ref of what judges, a sentence each."""
    added: tuple[str, ...] = ()
    """Scenario files of the work tree that the ref has not, copied to their places; relative to `folder`."""

    def under_test(self, path: Path) -> Path:
        """Where a path of the laid-out ref lies in the work tree; every other path as it is."""
        return self.work_tree / path.relative_to(self.folder) if path.is_relative_to(self.folder) else path


def laid_out(here: Path) -> LaidOut | None:
    """The record that leads a process whose working directory is `here`; None where it is no such process, as one
    that a test starts somewhere else.
    """
    file = os.environ.get(ENVIRONMENT)
    if not file:
        return None
    try:
        found = LaidOut.model_validate_json(Path(file).read_bytes())
    except OSError:
        return None  # the command that laid it out has ended
    return found if Path(os.path.realpath(here)).is_relative_to(found.folder) else None
