"""Finds, measures and kills the processes that a local sandbox started, however they detached themselves."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.sandboxes.owner import seconds_now, started
from pytest_specbench.sandboxes.sampling import Reading

GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError)
FIRST_LOOKS = 10
"""Within the first moment a program is still being loaded, and has no memory of its own."""
TICK_SEC = 0.01
"""A process's start is told in steps of that."""
KILL_SEC = 15.0
"""How long a search may go on finding something before a sandbox counts as not killable."""


@dataclass(frozen=True)
class Killed:
    """A process that was killed, and the CPU seconds it had used, those of children it had waited for included."""

    process: psutil.Process
    command: str
    cpu_sec: float


class ProcessFamily:
    """Everything that carries the token `variable=value` in its environment, descends from what did, shares a session
    with it, or works below `folder`.

    A process that clears its environment, leaves its session, outlives its parents and changes to another folder
    between two looks gets away: nothing but a container holds it.
    """

    def __init__(self, token: tuple[str, str], folder: Path) -> None:
        self._token = token
        self._folder = str(folder)
        self._known: set[psutil.Process] = set()
        self._lock = threading.Lock()
        self._self = os.getpid()
        self._since = seconds_now() - TICK_SEC

    def add(self, pid: int) -> int:
        """Take in a process that we have just started; return the bytes that it holds, 0 when it has ended already.

        A command that lives shorter than the time between two samples is seen here or never.
        """
        seen = 0
        with suppress(*GONE):
            process = psutil.Process(pid)
            seen = max(_anonymous_bytes(process) for _ in range(FIRST_LOOKS))
            with self._lock:
                self._known.add(process)
        return seen

    def living(self) -> list[psutil.Process]:
        """The members known so far and their descendants; cheap enough to be asked many times a second."""
        with self._lock:
            found = {process for process in self._known if _lives(process)}
            todo = list(found)
            while todo:
                for child in _children(todo.pop()):
                    if child not in found and _lives(child):
                        found.add(child)
                        todo.append(child)
            self._known = found
            return list(found)

    def search(self, token: tuple[str, str] | None = None) -> set[psutil.Process]:
        """The members found by looking at every process of the machine; with `token`, only those who carry that one."""
        members = set() if token else set(self.living())
        sessions = {session for process in members if (session := _session(process.pid)) is not None}
        # Not `process_iter`: it keeps objects, and takes one whose number was given out again for the dead one.
        for process in filter(None, map(_process, psutil.pids())):
            if process.pid == self._self or process in members:
                continue
            if any(_carries(one, token or self._token) for one in _speakers(process)) or (
                token is None and (_session(process.pid) in sessions or any(map(self._works_here, _speakers(process))))
            ):
                members.add(process)
        members = {process for process in members if _lives(process)}
        with self._lock:
            self._known |= members
        return members

    def _works_here(self, process: psutil.Process) -> bool:
        """In our folder, younger than it, and without a terminal: no person's shell who came to look."""
        with suppress(*GONE):
            return (
                process.cwd().startswith(self._folder)
                and started(process) >= self._since
                and process.terminal() is None
            )
        return False

    def kill(self, token: tuple[str, str] | None = None, *, first: int | None = None) -> list[Killed]:
        """Kill all members, or those with `token` and the descendants of `first`, until a search finds none.

        Raises InfrastructureError when they do not die.
        """
        killed: dict[psutil.Process, Killed] = {}
        top = _process(first)
        end = time.monotonic() + KILL_SEC
        while victims := self.search(token) | _tree(top):
            for process in sorted(victims, key=lambda process: process.pid):
                seen = killed.get(process)
                cpu_sec = max(cpu_seconds(process), seen.cpu_sec if seen else 0.0)
                killed[process] = Killed(process, seen.command if seen else _command_line(process), cpu_sec)
                with suppress(*GONE):
                    process.kill()
            if time.monotonic() > end:
                raise InfrastructureError(
                    f"processes of the local sandbox do not die: {'; '.join(_command_line(one) for one in victims)}",
                    hint="end them by hand, or use the docker sandbox",
                )
        return list(killed.values())

    def read(self) -> Reading:
        """CPU time and memory of the living members."""
        return Reading(memory=sum(_anonymous_bytes(process) for process in self.living()))


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and of the children that it has waited for."""
    with suppress(*GONE):
        times = process.cpu_times()
        waited = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return float(times.user + times.system + waited)
    return 0.0


def _process(pid: int | None) -> psutil.Process | None:
    if pid is not None:
        with suppress(*GONE):
            return psutil.Process(pid)
    return None


def _tree(top: psutil.Process | None) -> set[psutil.Process]:
    """A process and its descendants, as far as they live."""
    found: set[psutil.Process] = set()
    if top is not None:
        with suppress(*GONE):
            found = {process for process in (top, *top.children(recursive=True)) if _lives(process)}
    return found


def _children(process: psutil.Process) -> Iterable[psutil.Process]:
    """Direct children. Most Linux kernels list them; elsewhere all processes must be looked through."""
    if not Path("/proc/thread-self/children").exists():
        with suppress(*GONE):
            return process.children()
        return ()
    found = []
    try:
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                with suppress(*GONE):
                    found.append(psutil.Process(int(pid)))
    except OSError:
        pass  # it ended meanwhile
    return found


def _lives(process: psutil.Process) -> bool:
    """A zombie is dead, unless only its main thread has ended and others go on."""
    with suppress(*GONE):
        return bool(process.is_running() and (process.status() != psutil.STATUS_ZOMBIE or len(_threads(process)) > 1))
    return False


def _threads(process: psutil.Process) -> list[int]:
    """Ids of the threads, the main one's among them also when it is a zombie. Empty where the system lists none."""
    try:
        return sorted(int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir())
    except OSError:
        return []


def _speakers(process: psutil.Process) -> list[psutil.Process]:
    """Who can be asked for the environment and the folder: the process, or a thread of one whose main thread ended."""
    with suppress(*GONE):
        if process.status() == psutil.STATUS_ZOMBIE:
            return [one for one in map(_process, _threads(process)) if one is not None and one.pid != process.pid]
    return [process]


def _carries(process: psutil.Process, token: tuple[str, str]) -> bool:
    with suppress(*GONE):
        return process.environ().get(token[0]) == token[1]
    return False


def _session(pid: int) -> int | None:
    with suppress(OSError):
        session = os.getsid(pid)
        return None if session == os.getsid(0) else session
    return None


def _command_line(process: psutil.Process) -> str:
    with suppress(*GONE):
        return " ".join(process.cmdline()) or process.name()
    return f"process {process.pid}"


def _anonymous_bytes(process: psutil.Process) -> int:
    """Resident memory that is not backed by a file or shared: what Linux counts without walking page tables.

    Pages that parent and child still share after a fork count for both. Elsewhere: the unique set size.
    """
    with suppress(*GONE):
        memory = process.memory_info()
        if hasattr(memory, "shared"):
            return max(0, int(memory.rss - memory.shared))
        return int(process.memory_full_info().uss)
    return 0
