"""Deadlines that are enforced: a phase runs in a thread of its own, and is left behind when its time is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

SIGNAL_SEC = 1.0
"""How late an interruption may be noticed, at worst."""


class DeadlineExceededError(Exception):
    """The phase was still running at its deadline. What it still does must be made harmless by the caller."""

    def __init__(self, phase: str, seconds: float) -> None:
        super().__init__(f"{phase} was still running after {seconds:g} s")
        self.phase = phase
        self.seconds = seconds


def run_bounded[T](
    function: Callable[[], T], seconds: float, *, phase: str, on_late: Callable[[T], None] | None = None
) -> T:
    """Return what `function` returns, or raise what it raises, within `seconds` by a monotonic clock.

    Raises DeadlineExceededError otherwise: Python cannot kill a thread, so the caller takes away what it works on
    (closes the sandbox, the shell, the journal). `on_late` is called with a result that arrives too late, so that
    nothing that was made is lost. A signal that arrives while waiting (KeyboardInterrupt) leaves the phase behind, too.
    """
    lock = threading.Lock()
    results: list[T] = []
    errors: list[BaseException] = []
    abandoned = False

    def work() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - carried over to the waiting thread, whatever it is
            errors.append(error)
            return
        with lock:
            if not abandoned:
                results.append(result)
                return
        if on_late is not None:
            on_late(result)

    thread = threading.Thread(target=work, name=f"specbench-{phase}", daemon=True)
    thread.start()
    end = time.monotonic() + seconds
    try:
        while thread.is_alive() and time.monotonic() < end:
            # In slices: a signal that comes after Python looked for one and before the system waits wakes nobody.
            thread.join(min(remaining(end), SIGNAL_SEC))
    except BaseException:
        with lock:
            abandoned = True
        if results and on_late is not None:
            on_late(results[0])
        raise
    with lock:
        abandoned = not results
    if errors:
        raise errors[0]
    if not results:
        raise DeadlineExceededError(phase, seconds)
    return results[0]


def remaining(deadline: float) -> float:
    """Seconds until `deadline` (a `time.monotonic()` value); 0 when it is over."""
    return max(0.0, deadline - time.monotonic())
