"""Whose run it is: a run has one living owner, and whoever resumes it takes it over from a dead one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pytest_specbench import __version__
from pytest_specbench.core.errors import UsageError
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.settings import Settings
from pytest_specbench.recording.files import write_json
from pytest_specbench.recording.folder import check_output
from pytest_specbench.recording.repository import git_commit
from pytest_specbench.recording.run_start import BEGUN, RunStart, asked_of, differing, now, read_start
from pytest_specbench.sandboxes.owner import PREFIX, is_abandoned, is_of_this_machine, owner_labels

OWN = (f"{PREFIX}machine", f"{PREFIX}boot", f"{PREFIX}pid")
"""What tells a process from all that live; readings of its start may differ."""


def begin_run(settings: Settings, selected: tuple[str, ...], sandbox: tuple[str, str] | None) -> RunStart:
    """Write down what the run is asked to do and that it is this process's. `settings` are as they were asked for.

    Raises UsageError where nothing may be written, OSError where nothing can.
    """
    check_output(settings.output, settings.work_tree)
    start = RunStart(
        run_id=settings.run_id,
        parts=(now(),),
        specbench_version=__version__,
        commit_sha=git_commit(settings.work_tree),
        asked=asked_of(settings, Redactor.from_environment((), os.environ)),
        max_cost_usd=settings.max_cost_usd,
        selected=selected,
        sandbox=sandbox,
        owner=owner_labels(),
    )
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    write_json(settings.run_folder / BEGUN, start)
    return start


def take_over(settings: Settings) -> RunStart:
    """Make the run in `settings.run_folder` this process's, and return how it began, this part included.

    Raises UsageError when its owner lives or may live, another commit is checked out, or what is asked for now is not
    what was asked for then. Of two who try at the same time one finds the other the owner.
    """
    folder = settings.run_folder
    with _alone(folder):
        start = read_start(folder)
        if start.owner is not None:
            _refuse_living(start.owner, start.run_id, folder)
        _refuse_other_commit(start, git_commit(settings.work_tree), folder)
        found = differing(
            start, asked_of(settings, Redactor.from_environment((), os.environ)), __version__, settings.max_cost_usd
        )
        if found:
            raise UsageError(
                f"--specbench-resume: the run {start.run_id} was asked for something else: {'; '.join(found)}",
                where=str(folder / BEGUN),
                expected="the settings it began with, so that all of its verdicts mean the same",
                hint="give the same options, or start a new run",
            )
        update = {"parts": (*start.parts, now()), "owner": owner_labels(), "max_cost_usd": settings.max_cost_usd}
        taken = start.model_copy(update=update)
        write_json(folder / BEGUN, taken)
    return taken


def release(folder: Path) -> None:
    """Say that this process's run has ended in order. Does nothing about anybody else's."""
    with suppress(OSError, UsageError), _alone(folder):
        start = read_start(folder)
        own = owner_labels()
        if start.owner is not None and all(start.owner.get(name) == own[name] for name in OWN):
            write_json(folder / BEGUN, start.model_copy(update={"owner": None}))


def _refuse_living(owner: Mapping[str, str], run_id: str, folder: Path) -> None:
    if is_abandoned(owner):
        return
    pid = owner.get(f"{PREFIX}pid", "unknown")
    if is_of_this_machine(owner):
        raise UsageError(
            f"--specbench-resume: the run {run_id} is still going on: process {pid} on this machine",
            where=str(folder / BEGUN),
            hint="wait for it, or end it (Ctrl-C, or SIGTERM), then resume",
        )
    machine = owner.get(f"{PREFIX}machine", "unknown").rpartition("/")[2]
    raise UsageError(
        f"--specbench-resume: the run {run_id} is process {pid}'s on another machine, {machine}; "
        "whether that lives cannot be told from here",
        where=str(folder / BEGUN),
        hint="resume it there, or start a new run",
    )


def _refuse_other_commit(start: RunStart, commit: str | None, folder: Path) -> None:
    if start.commit_sha == commit:
        return
    back = f"git checkout {start.commit_sha}, or " if start.commit_sha else ""
    raise UsageError(
        f"--specbench-resume: the run {start.run_id} began at commit {start.commit_sha or 'none'}, "
        f"and {commit or 'none'} is checked out",
        where=str(folder / BEGUN),
        expected="the commit that it began at, so that all of its verdicts are about the same",
        hint=f"{back}start a new run",
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process is in here for this run; the lock goes with its process, however that ends."""
    import fcntl  # not on every platform, and only who resumes needs it

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
