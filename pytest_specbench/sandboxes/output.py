"""What a command writes: in one stream, and collected up to a limit."""

from __future__ import annotations

from collections.abc import Callable

ONE_STREAM = ("sh", "-c", 'exec "$@" 2>&1', "sh")
"""Runs its arguments, with what they write in one stream. The engine has a pipe for each of two, and what comes out of
them comes in any order; the order of a terminal is the one in which the command writes.
"""


class Output:
    """Called with every chunk: passes it on whole, and keeps the first `max_output` bytes of all."""

    def __init__(self, max_output: int, on_output: Callable[[bytes], None] | None) -> None:
        self._max = max_output
        self._pass_on = on_output
        self._kept = bytearray()
        self.truncated = False

    def __call__(self, chunk: bytes) -> None:
        room = self._max - len(self._kept)
        self._kept += chunk[:room]
        self.truncated = self.truncated or len(chunk) > room
        if self._pass_on is not None:
            self._pass_on(chunk)

    def kept(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)
