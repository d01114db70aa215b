"""Measures what the processes of a local sandbox use."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable

import psutil

from pytest_specbench.sandboxes.base import Usage
from pytest_specbench.sandboxes.local.processes import Killed, ProcessFamily, cpu_seconds
from pytest_specbench.sandboxes.sampling import MB, Observation, Reading, Sampler

INTERVAL_SEC = 0.02 if sys.platform == "linux" else 0.1
"""Only Linux lists children without a look at every process of the machine."""
SEARCH_EVERY = 25
"""A search takes some 10 ms of CPU."""


class LocalMeter:
    """CPU of the commands that ended, as the kernel tells when they are waited for, and of what still lives; memory by
    sampling, and by a look at every command as it begins. Begins when it is made.

    The peak that the kernel tells along with the CPU time (`ru_maxrss`) is of no use: what a process held before it
    became the command, that is as much as this process holds, is in it.
    """

    def __init__(self, family: ProcessFamily) -> None:
        self._family = family
        self._before = {process: cpu_seconds(process) for process in family.living()}
        self._ended_sec = 0.0
        self._commands = 0
        self._first_look = 0
        self._lock = threading.Lock()
        self._looks = 0
        self._sampler: Sampler | None = Sampler(self._read, INTERVAL_SEC).start()
        self._observed: Observation | None = None

    def add(self, cpu_sec: float) -> None:
        """Count the CPU seconds of a command that ended."""
        with self._lock:
            self._ended_sec += cpu_sec

    def add_first_look(self, memory: int | None) -> None:
        """Take in what a command held as it began, in bytes; None for one that did not begin."""
        if memory is not None:
            with self._lock:
                self._commands += 1
                self._first_look = max(self._first_look, memory)

    def add_killed(self, killed: Iterable[Killed]) -> None:
        """Count what processes that were killed had used since the start."""
        for one in killed:
            self.add(max(0.0, one.cpu_sec - self._before.get(one.process, 0.0)))

    def finish(self) -> Usage:
        """Stop and sum up. Idempotent."""
        with self._lock:
            if self._sampler is not None:
                self._observed = self._sampler.stop()
                self._sampler = None
                self._ended_sec += sum(self._since_start(process) for process in self._family.search())
        sampled = self._observed.peak_memory if self._observed else None
        reasons = {"kernel_peak_memory_mb": "the kernel keeps no peak for a family of plain processes"}
        notes = []
        peak = None if sampled is None else max(sampled, self._first_look)
        if peak is None:
            reasons["peak_memory_mb"] = "no sample could be taken"
        elif not peak and self._commands:
            peak = None
            reasons["peak_memory_mb"] = "every command ended before its memory could be looked at"
        elif not sampled and self._commands:
            notes = ["memory: no sample saw a command; it is what one held as it began, so the least that it can be"]
        samples = self._observed.samples if self._observed else 0
        return Usage(
            cpu_ms=self._ended_sec * 1000,
            peak_memory_mb=None if peak is None else peak / MB,
            kernel_peak_memory_mb=None,
            out_of_memory=False,
            reasons=reasons,
            notes=(
                f"memory: {samples} samples, one every {round(INTERVAL_SEC * 1000)} ms, of what no file backs",
                *notes,
                "CPU: a daemon that ended by itself before the phase did is not counted",
                "nothing is limited: whether the machine itself ran out of memory is not known",
            ),
        )

    def _read(self) -> Reading:
        """Daemons lose their parents between two looks: so now and then the whole machine is searched."""
        self._looks += 1
        if self._looks % SEARCH_EVERY == 0:
            self._family.search()
        return self._family.read()

    def _since_start(self, process: psutil.Process) -> float:
        return max(0.0, cpu_seconds(process) - self._before.get(process, 0.0))
