"""Tells the commands in flight that their sandbox is being closed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_specbench.core.errors import InfrastructureError


class Closing:
    """A flag that can be waited for together with a socket or a pipe: every watcher has a descriptor of its own."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._writers: set[int] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @contextmanager
    def watch(self) -> Iterator[int]:
        """Yield a file descriptor that becomes readable on `close`. Raises InfrastructureError when that was before."""
        reader, writer = os.pipe()
        try:
            with self._lock:
                if self._closed:
                    raise closed_error()
                self._writers.add(writer)
            yield reader
        finally:
            with self._lock:
                self._writers.discard(writer)
                self._lock.notify_all()
            os.close(writer)
            os.close(reader)

    def close(self) -> None:
        """Wake every watcher. Idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for writer in self._writers:
                    os.write(writer, b"x")

    def wait_until_unwatched(self, seconds: float) -> bool:
        """Wait until every watcher has ended, at most `seconds`; whether they have."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._writers, seconds)


def closed_error() -> InfrastructureError:
    """What a command raises whose sandbox is closed."""
    return InfrastructureError("the sandbox was closed")
