"""The terminal recording: asciicast v2, one whole JSON line at a time, so that it plays even after a crash."""

from __future__ import annotations

import codecs
import json
import os
import re
from pathlib import Path

from pytest_specbench.core.redact import Redactor
from pytest_specbench.recording.files import append_whole

PROMPT = "$ "
CAST_LIMIT = 64_000_000


class CastWriter:
    """Writes `agent.cast`. Times are seconds since the start of the recording and never go back.

    `timestamp` is the start in seconds of the Unix epoch, `size` columns and rows. Output is redacted and decoded as
    UTF-8 over the borders of chunks; what is no UTF-8 shows as the replacement character. Its owner sees to threads.
    At `limit` bytes it says that it is cut, and stops. After an OSError it must be given up by `abandon`.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int],
        timestamp: float,
        title: str,
        redactor: Redactor,
        limit: int = CAST_LIMIT,
    ) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._redactor = redactor
        self._stream = redactor.stream()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._time = 0.0
        self._carriage = False
        self._fresh_line = True
        self._open = True
        self._left = limit
        columns, rows = size
        header = {
            "version": 2,
            "width": columns,
            "height": rows,
            "timestamp": int(timestamp),
            "title": redactor.text(title),
            "env": {"TERM": "xterm-256color", "SHELL": "/bin/sh"},
        }
        self._line(header)

    def command(self, at: float, command: str) -> None:
        """A command as typed behind a prompt, on a line of its own."""
        self._drain(at)
        start = "" if self._fresh_line else "\n"
        typed = self._redactor.text(command).rstrip("\n").replace("\n", "\n> ")
        self._show(at, f"{start}{PROMPT}{typed}\n")

    def output(self, at: float, chunk: bytes) -> None:
        """Output as it came."""
        self._show(at, self._decoder.decode(self._stream.feed(chunk)))

    def close(self, at: float) -> None:
        """Write what was held back, and sync. Idempotent."""
        if not self._open:
            return
        self._drain(at)
        self._open = False
        os.fsync(self._descriptor)
        os.close(self._descriptor)

    def abandon(self) -> None:
        """End without writing anything more: the host cannot."""
        if self._open:
            self._open = False
            os.close(self._descriptor)

    def _drain(self, at: float) -> None:
        """Nothing that follows belongs to what came before."""
        self._show(at, self._decoder.decode(self._stream.flush(), final=True))
        self._decoder.reset()

    def _show(self, at: float, text: str) -> None:
        if not text or self._left <= 0:
            return
        self._time = max(self._time, at)
        # A terminal needs a carriage return before every line feed; a program without one writes line feeds only.
        first = text[0] == "\n" and self._carriage
        shown = re.sub(r"(?<!\r)\n", "\r\n", text[1:] if first else text)
        self._carriage = text[-1] == "\r"
        self._fresh_line = text[-1] == "\n"
        self._line([round(self._time, 6), "o", ("\n" if first else "") + shown])

    def _line(self, data: object) -> None:
        encoded = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        self._left -= len(encoded)
        if self._left <= 0:
            cut = [round(self._time, 6), "o", "\r\n[the recording is cut here: it is too long]\r\n"]
            encoded = json.dumps(cut).encode() + b"\n"
        append_whole(self._descriptor, encoded)
