"""Samples CPU and memory on a thread while something else runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True)
class Reading:
    """Counters at one moment; None where the source does not have them."""

    cpu_ns: int | None = None
    """CPU time since the sandbox started."""
    memory: int | None = None
    """Bytes of the working set now."""
    kernel_peak: int | None = None
    """Bytes of the kernel's own peak."""
    oom_kills: int | None = None
    """Processes killed because memory ran out."""


@dataclass(frozen=True)
class Observation:
    """What one stretch of sampling saw. `problem` says why sampling ended early, if it did."""

    first: Reading
    last: Reading
    peak_memory: int | None
    samples: int
    problem: str | None = None


class SourceGoneError(Exception):
    """There is nothing to read any more."""


class Sampler:
    """Reads once at `start`, every `interval` seconds on a thread, and once at `stop`.

    When the source goes away, what was read until then stands.
    """

    def __init__(self, read: Callable[[], Reading], interval: float) -> None:
        self._read = read
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="specbench-sampler", daemon=True)
        self._readings: list[Reading] = []
        self._samples = 0
        self._peak: int | None = None
        self._problem: str | None = None

    def start(self) -> Sampler:
        """Take the first reading and begin."""
        self._sample()
        self._thread.start()
        return self

    def stop(self) -> Observation:
        """Take the last reading and return what was seen."""
        self._stop.set()
        self._thread.join()
        if self._problem is None:
            self._sample()
        first, last = (self._readings[0], self._readings[-1]) if self._readings else (Reading(), Reading())
        return Observation(first, last, self._peak, self._samples, self._problem)

    def _run(self) -> None:
        while self._problem is None and not self._stop.wait(self._interval):
            self._sample()

    def _sample(self) -> None:
        try:
            reading = self._read()
        except (OSError, SourceGoneError) as error:
            self._problem = str(error)
            return
        del self._readings[1:]  # the first and the last are enough
        self._readings.append(reading)
        self._samples += 1
        if reading.memory is not None:
            self._peak = max(self._peak or 0, reading.memory)
