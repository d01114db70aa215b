"""What is running right now: every item says so in a small file, and the controller shows the files.

Files, because the controller of a distributed run hears nothing from a worker while a test runs: a worker's events are
whole reports, sent when a phase of an item is over. So the view reads the folder each time it is shown; that is the one
place where we look again and again instead of being told. Progress is a comfort: none of its failures fails a run.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil
from pydantic import Field, ValidationError

from pytest_specbench.core.model import Record
from pytest_specbench.reporting.text import printable

THROTTLE_SEC = 0.2
"""Least time between two writes of the same phase of the same trial."""


class Beat(Record):
    """What one running item last said about itself."""

    scenario_id: str
    """The scenario."""
    phase: str
    """The phase of the trial, for people."""
    trial: int = Field(ge=0)
    """Number of the trial, from 1; 0 before the first."""
    trials: int = Field(ge=0)
    """How many there will be; 0 while that is unknown."""
    steps: int | None
    """Steps so far; null where nothing counts them."""
    started: float
    """When the item started, seconds since the epoch: the only clock that processes share everywhere."""
    pid: int
    """The process that runs it."""
    process_started: float
    """When that process started, seconds since the epoch; tells it from a later process with the same number."""


class Heartbeat:
    """Says what an item is doing, in `<folder>/<scenario_id>.json`; `with` it, or call `done` at the end.

    Every write is whole (a rename) and not synced. Any thread may call it. A file that cannot be written is left out.
    """

    def __init__(
        self,
        folder: Path,
        scenario_id: str,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scenario_id = scenario_id
        self._path = beat_path(folder, scenario_id)
        self._ticks = ticks
        self._started = clock()
        self._process_started = psutil.Process().create_time()
        self._lock = threading.Lock()
        self._said: tuple[str, int, int] | None = None
        self._written = 0.0
        self._over = False

    def update(self, phase: str, trial: int, trials: int, steps: int | None = None) -> None:
        """Say where the item is; written at once when phase or trial changed, else at most every 200 ms."""
        with self._lock:
            now = self._ticks()
            said = (phase, trial, trials)
            if self._over or (said == self._said and now - self._written < THROTTLE_SEC):
                return
            self._said, self._written = said, now
            beat = {
                "scenario_id": self._scenario_id,
                "phase": phase,
                "trial": trial,
                "trials": trials,
                "steps": steps,
                "started": self._started,
                "pid": os.getpid(),
                "process_started": self._process_started,
            }
            with suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                temporary = self._path.with_name(f".{self._path.stem}.{os.getpid()}.tmp")
                temporary.write_text(json.dumps(beat), encoding="utf-8")
                temporary.replace(self._path)

    def done(self) -> None:
        """The item is over: its file goes, and with the last file the folder. Later updates say nothing."""
        with self._lock, suppress(OSError):
            self._over = True
            self._path.unlink(missing_ok=True)
            self._path.parent.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done()


class ProgressView:
    """The running items of a run, read anew from their files each time."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def lines(self, now: float | None = None) -> list[str]:
        """A line an item, such as `specify: trial 1/3, agent, step 12, 0:42`, longest running first; none when idle.

        `now` is seconds since the epoch, the clock's when not given. An item whose process is gone says so.
        """
        at = self._clock() if now is None else now
        return [
            _line(beat, at) for beat in sorted(_beats(self._folder), key=lambda beat: (beat.started, beat.scenario_id))
        ]

    def forget(self, scenario_id: str) -> None:
        """The item has its verdict: drop what a process that died may have left of it."""
        with suppress(OSError):
            beat_path(self._folder, scenario_id).unlink(missing_ok=True)

    def processes(self) -> list[int]:
        """Ids of the living processes that run an item, this one left out."""
        return sorted({beat.pid for beat in _beats(self._folder) if _is_alive(beat)} - {os.getpid()})

    def wait_until_idle(self, seconds: float) -> None:
        """Wait until no other process runs an item, or until the time is over."""
        over = time.monotonic() + seconds
        # Looked at again and again, since no event comes from a worker that is being shut down.
        while self.processes() and time.monotonic() < over:
            time.sleep(0.05)


def forget_the_dead(root: Path) -> None:
    """Remove what runs left below `root` whose processes are all gone. Never raises."""
    for folder in root.glob("*/"):
        beats = _beats(folder)
        if beats and not any(_is_alive(beat) for beat in beats):
            with suppress(OSError):
                for beat in beats:
                    beat_path(folder, beat.scenario_id).unlink(missing_ok=True)
                folder.rmdir()


def beat_path(folder: Path, scenario_id: str) -> Path:
    """The file of a scenario's heartbeat; its name stays in the folder whatever the id holds."""
    return folder / f"{quote(scenario_id, safe='')}.json"


def _beats(folder: Path) -> list[Beat]:
    beats = []
    for path in folder.glob("*.json"):
        # It may be gone by now, or be somebody else's: what is no heartbeat is not shown.
        with suppress(OSError, ValidationError):
            beats.append(Beat.model_validate_json(path.read_bytes()))
    return beats


def _line(beat: Beat, now: float) -> str:
    if not _is_alive(beat):
        return printable(f"{beat.scenario_id}: no sign of life, process {beat.pid} is gone")
    minutes, seconds = divmod(max(0, int(now - beat.started)), 60)
    parts = [
        *([f"trial {beat.trial}/{beat.trials}"] if beat.trial else []),
        beat.phase,
        *([] if beat.steps is None else [f"step {beat.steps}"]),
        f"{minutes}:{seconds:02d}",
    ]
    return printable(f"{beat.scenario_id}: {', '.join(parts)}")


def _is_alive(beat: Beat) -> bool:
    try:
        process = psutil.Process(beat.pid)
        # Two readings of the same start may differ by a clock tick, and after a clock correction by more.
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - beat.process_started) < 2
    except psutil.AccessDenied:
        return True
    except (psutil.Error, OverflowError, ValueError):
        return False
