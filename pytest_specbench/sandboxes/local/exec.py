"""Runs one command as a plain process, with a deadline that holds."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_specbench.sandboxes.closing import closed_error
from pytest_specbench.sandboxes.local.processes import Killed, ProcessFamily

CANNOT_RUN, NOT_FOUND = 126, 127
PIPE_BYTES = 1_048_576
"""The most that a pipe holds."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (None when it was killed at the deadline) and its CPU time in seconds."""

    exit_code: int | None
    cpu_sec: float
    first_look: int | None = None
    """Bytes of memory that it held just after it began, 0 where it had ended by then; None when it did not begin."""


@dataclass(frozen=True)
class Job:
    """What to run, and by what token its descendants are known."""

    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    token: tuple[str, str]
    deadline: float
    """By `time.monotonic()`."""


def run(job: Job, sink: Callable[[bytes], None], family: ProcessFamily, closing: int) -> Ended:
    """Run a job to its end. Raises InfrastructureError when `closing` becomes readable."""
    try:
        process = subprocess.Popen(
            list(job.argv),
            cwd=job.folder,
            env=dict(job.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        sink(f"cannot run {job.argv[0]!r}: {error}\n".encode())
        missing = isinstance(error, FileNotFoundError) and job.folder.is_dir()
        return Ended(NOT_FOUND if missing else CANNOT_RUN, 0.0)
    first_look = family.add(process.pid)
    with _Child(process) as child:
        in_time = False
        killed: list[Killed] = []
        try:
            in_time = _pump(child, sink, job.deadline, closing)
        finally:
            if not in_time:
                killed = family.kill(job.token, first=process.pid)
        child.drain(sink)
    # The command's own CPU time is known from waiting for it.
    orphans = sum(one.cpu_sec for one in killed if one.process.pid != process.pid)
    return Ended(child.exit_code if in_time else None, child.cpu_sec + orphans, first_look)


class _Child:
    """Waits for a process on a thread, since that tells its CPU time, and makes its end something to poll for."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.ended, self._tell = os.pipe()
        self.output = process.stdout.fileno() if process.stdout else -1
        self.exit_code = 0
        self.cpu_sec = 0.0
        self._thread = threading.Thread(target=self._wait, name="specbench-wait", daemon=True)

    def __enter__(self) -> _Child:
        os.set_blocking(self.output, False)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        if self._process.stdout:
            self._process.stdout.close()
        os.close(self.ended)

    def _wait(self) -> None:
        _, status, usage = os.wait4(self._process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code  # it is waited for: Popen must not do it again
        self.exit_code = 128 - code if code < 0 else code
        self.cpu_sec = usage.ru_utime + usage.ru_stime
        os.close(self._tell)

    def drain(self, sink: Callable[[bytes], None]) -> None:
        """Pass on what is in the pipe. No more than that: a child in the background may go on writing for ever."""
        for _ in range(PIPE_BYTES // 65536):
            if not _read_once(self.output, sink, idle=False):
                return


def _pump(child: _Child, sink: Callable[[bytes], None], deadline: float, closing: int) -> bool:
    """Pass output on until the command itself has ended; False when the deadline came first.

    What it wrote is in the pipe by then: a child in the background that keeps the pipe open is not waited for.
    """
    poller = select.poll()
    for descriptor in (child.output, child.ended, closing):
        poller.register(descriptor, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        ready = {descriptor for descriptor, _ in poller.poll(left * 1000)}
        if closing in ready:
            raise closed_error()
        if child.ended in ready:
            return True
        if child.output in ready and not _read_once(child.output, sink, idle=True):
            poller.unregister(child.output)
    return False


def _read_once(descriptor: int, sink: Callable[[bytes], None], *, idle: bool) -> bool:
    """One read, so that a flood of output cannot put off the deadline. False at the end of the output; `idle` when
    there is nothing now.
    """
    try:
        chunk = os.read(descriptor, 65536)
    except BlockingIOError:
        return idle
    if chunk:
        sink(chunk)
    return bool(chunk)
