"""Measures what a container uses: from the host's control groups where they are visible, else from the engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from docker import APIClient

from pytest_specbench.sandboxes import cgroup
from pytest_specbench.sandboxes.base import Usage
from pytest_specbench.sandboxes.docker.engine import ENGINE_FAULTS, explain
from pytest_specbench.sandboxes.sampling import MB, Observation, Reading, Sampler, SourceGoneError

INTERVAL_SEC = 0.02


@dataclass(frozen=True)
class Source:
    """Where readings come from, and what to say about them."""

    read: Callable[[], Reading]
    note: str


class Meter:
    """Measures one container, over restarts of it too: a restart makes a new control group."""

    def __init__(self, api: APIClient, container: str, *, root: Path = cgroup.ROOT, proc: Path = Path("/proc")) -> None:
        self._api = api
        self._container = container
        self._root = root
        self._proc = proc
        self._observed: list[Observation] = []
        self._notes: dict[str, None] = {}
        self._sampler: Sampler | None = None
        self._started_at = 0.0
        self._engine_saw_oom = False
        self._peak_reset = False
        self._lock = threading.Lock()

    def resume(self) -> None:
        """Begin, or go on after `pause`. Raises the engine's errors."""
        facts = self._api.inspect_container(self._container)
        if self._observed and not facts["State"]["Running"]:
            return  # it did not come up again, and uses nothing any more
        source = self._source(facts)
        self._notes[source.note] = None
        self._started_at = self._started_at or time.monotonic()
        self._sampler = Sampler(source.read, INTERVAL_SEC).start()

    def pause(self) -> None:
        """Stop sampling, for the container is about to be restarted or removed. Never raises."""
        with self._lock:
            if self._sampler is None:
                return
            self._observed.append(self._sampler.stop())
            self._sampler = None
        try:
            state = self._api.inspect_container(self._container)["State"]
            self._engine_saw_oom = self._engine_saw_oom or bool(state.get("OOMKilled"))
        except ENGINE_FAULTS as error:
            self._notes[f"the engine did not say whether memory ran out: {explain(error)}"] = None

    def finish(self) -> Usage:
        """Stop and sum up."""
        self.pause()
        parts = self._observed
        reasons: dict[str, str] = {}
        cpu = _total([_difference(part, "cpu_ns") for part in parts])
        peak = _highest([part.peak_memory for part in parts])
        kernel = _highest([part.last.kernel_peak for part in parts])
        problems = [part.problem for part in parts if part.problem]
        why = "; ".join(problems) or f"not among what could be read ({'; '.join(self._notes)})"
        for name, value in (("cpu_ms", cpu), ("peak_memory_mb", peak), ("kernel_peak_memory_mb", kernel)):
            if value is None:
                reasons[name] = why
        notes = [*self._notes, *(f"sampling ended early: {problem}" for problem in problems)]
        since = "measuring began" if self._peak_reset else "the container's start"
        notes.append(f"{sum(part.samples for part in parts)} samples; the kernel's peak is since {since}")
        return Usage(
            cpu_ms=None if cpu is None else cpu / 1_000_000,
            peak_memory_mb=None if peak is None else peak / MB,
            kernel_peak_memory_mb=None if kernel is None else kernel / MB,
            out_of_memory=self._out_of_memory(),
            reasons=reasons,
            notes=tuple(notes),
        )

    def _out_of_memory(self) -> bool:
        counted = [_difference(part, "oom_kills") for part in self._observed]
        if self._engine_saw_oom or any(counted):
            return True
        # A counter that died with its group may have missed the last kill; the engine keeps its events.
        complete = all(kills is not None for kills in counted) and not any(part.problem for part in self._observed)
        return False if complete else self._oom_event()

    def _now(self) -> float:
        """The time by the engine's clock, which is the one that its events have."""
        told: dict[str, Any] = self._api.info()
        return datetime.fromisoformat(told["SystemTime"]).timestamp()

    def _oom_event(self) -> bool:
        try:
            now = self._now()
            events = self._api.events(
                since=int(now - (time.monotonic() - self._started_at)),
                until=int(now) + 1,
                filters={"container": self._container, "event": "oom"},
            )
            return any(True for _ in events)
        except ENGINE_FAULTS as error:
            self._notes[f"the engine's events could not be read: {explain(error)}"] = None
            return False

    def _source(self, facts: Mapping[str, Any]) -> Source:
        pid = int(facts["State"]["Pid"])
        group = cgroup.of_process(pid, self._container, root=self._root, proc=self._proc)
        if group is None:
            return Source(
                self._read_stats, "sampled from the engine's statistics: its control group is not visible here"
            )
        if not self._observed:  # after a restart the group is new
            self._peak_reset = cgroup.reset_peak(group)
        milliseconds = round(INTERVAL_SEC * 1000)
        return Source(
            lambda: cgroup.read(group), f"sampled every {milliseconds} ms from cgroup v{group.memory_version}"
        )

    def _read_stats(self) -> Reading:
        try:
            stats: dict[str, Any] = self._api.stats(self._container, stream=False, one_shot=True)
        except ENGINE_FAULTS as error:
            raise SourceGoneError(explain(error)) from error
        return reading_of_stats(stats)


def reading_of_stats(stats: Mapping[str, Any]) -> Reading:
    """Counters from an answer of the engine's statistics call.

    Version 2 gives `anon` and `shmem`. Version 1 gives `total_rss` and, in most engines, no shared memory: then the
    working set is unknown rather than too small.
    """
    memory = stats.get("memory_stats") or {}
    detail = memory.get("stats") or {}
    anonymous = detail.get("anon", detail.get("total_rss"))
    shared = detail.get("shmem", detail.get("total_shmem"))
    cpu = ((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage")
    if not memory and not cpu:
        raise SourceGoneError("the engine gave no statistics: the container is not running")
    return Reading(
        cpu_ns=cpu,
        memory=None if anonymous is None or shared is None else anonymous + shared,
        kernel_peak=memory.get("max_usage"),
    )


def _difference(part: Observation, counter: str) -> int | None:
    first, last = getattr(part.first, counter), getattr(part.last, counter)
    return None if first is None or last is None else last - first


def _total(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _highest(values: list[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)
