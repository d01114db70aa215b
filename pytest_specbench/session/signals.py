"""SIGTERM as an interruption: `finally` blocks run, sandboxes go, and the report says what happened."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class TerminationAsInterrupt:
    """From `install` to `restore`, SIGTERM raises KeyboardInterrupt in the main thread.

    Python's default ends the process at once, and no `finally` runs. A handler that somebody else installed stays, and
    so does everything where this is not the main thread.
    """

    def __init__(self) -> None:
        self._before: Any = None
        self._installed = False

    def install(self) -> None:
        """Take over; once."""
        if self._installed or threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._before = signal.signal(signal.SIGTERM, _interrupt)
            self._installed = True

    def restore(self) -> None:
        """Give back what was there before."""
        if self._installed:
            signal.signal(signal.SIGTERM, self._before)
            self._installed = False


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the form of a signal handler
    raise KeyboardInterrupt
