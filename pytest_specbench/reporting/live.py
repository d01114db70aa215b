"""The thread that shows progress: a live line on a terminal, a heartbeat line now and then elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from shutil import get_terminal_size
from types import TracebackType
from typing import Protocol, Self, TextIO

from pytest_specbench.reporting.progress import ProgressView
from pytest_specbench.reporting.text import cut, printable

LIVE_INTERVAL_SEC = 0.5
HEARTBEAT_INTERVAL_SEC = 30.0

# The live line stands below the line that pytest is writing, which often is half full. IND and CUU make sure that there
# is a line below, and keep the column, even on the last line of the screen; save and restore bring the cursor back.
_BELOW = "\x1bD\x1b[A\x1b7\x1b[B\r"
_BACK = "\x1b[K\x1b8"


class Display(Protocol):
    """Shows lines of progress. `clear` takes away what is still to be seen of them."""

    def show(self, lines: list[str]) -> None:
        """Show what runs now; no lines: nothing does."""
        ...

    def clear(self) -> None:
        """Leave the screen as if nothing had been shown."""
        ...


class LiveLine:
    """One line on a terminal that is written over and over, below the line in which the cursor is.

    `write` must write to the very stream that pytest writes to and flush it, in one call; `width` gives the columns.
    """

    def __init__(self, write: Callable[[str], None], width: Callable[[], int], *, encoding: str = "utf-8") -> None:
        self._write = write
        self._width = width
        self._encoding = encoding
        self._shown = False

    def show(self, lines: list[str]) -> None:
        if not lines:
            self.clear()
            return
        self._shown = True
        # The last column stays free: a terminal that has filled it may wrap.
        self._write(f"{_BELOW}{cut(printable(' | '.join(lines), self._encoding), self._width() - 1)}{_BACK}")

    def clear(self) -> None:
        if self._shown:
            self._shown = False
            self._write(f"{_BELOW}{_BACK}")


class HeartbeatLine:
    """A whole line each time something runs, for logs; `write_line` puts it on a line of its own."""

    def __init__(self, write_line: Callable[[str], None]) -> None:
        self._write_line = write_line

    def show(self, lines: list[str]) -> None:
        if lines:
            self._write_line(f"specbench: {' | '.join(lines)}")

    def clear(self) -> None:
        """A line of a log stays."""


class ProgressThread:
    """Shows a view every `interval` seconds, first after one interval, from `start` until `stop` or in a `with`.

    Whoever prints to the same stream does so inside `paused()`, or calls `clear()` before. A display that cannot write
    ends the showing and nothing else.
    """

    def __init__(self, view: ProgressView, display: Display, interval: float) -> None:
        self._view = view
        self._display = display
        self._interval = interval
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="specbench-progress", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self) -> None:
        """End at once, and leave nothing to be seen of it. May be called again."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.clear()

    def clear(self) -> None:
        """Take the live line away; it comes back with the next interval."""
        with self._lock, suppress(OSError, ValueError):
            self._display.clear()

    @contextmanager
    def paused(self) -> Generator[None]:
        """Nothing is shown in here, so that something else can be printed whole."""
        with self._lock:
            self.clear()
            yield

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            lines = self._view.lines()
            try:
                with self._lock:
                    self._display.show(lines)
            except (OSError, ValueError):  # the stream is closed or broken: the run goes on without progress
                return


def progress_on(
    view: ProgressView, stream: TextIO, write_line: Callable[[str], None], *, environ: Mapping[str, str]
) -> ProgressThread:
    """The thread for a stream: a live line on a terminal, else a line every 30 s by `write_line`. Not yet started.

    `stream` is the one that pytest's own terminal writer writes to.
    """
    if not wants_live(environ, is_tty=stream.isatty()):
        return ProgressThread(view, HeartbeatLine(write_line), HEARTBEAT_INTERVAL_SEC)

    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return ProgressThread(
        view, LiveLine(write, lambda: get_terminal_size().columns, encoding=stream.encoding), LIVE_INTERVAL_SEC
    )


def wants_live(environ: Mapping[str, str], *, is_tty: bool) -> bool:
    """Whether a live line can be shown: on a terminal that understands it, and not in a CI service's log."""
    return is_tty and environ.get("TERM", "dumb") != "dumb" and not environ.get("CI")
