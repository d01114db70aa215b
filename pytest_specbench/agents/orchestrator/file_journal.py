"""A journal for runs outside our own trials: one JSON line for everything that happens."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from pytest_specbench.recording.journal import StepUsage, ToolCall

FILE_NAME = "specbench-journal.jsonl"


class FileJournal:
    """Implements `recording.journal.Journal` as lines in `folder/specbench-journal.jsonl`; no folder: nothing is kept.

    A context manager.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE_NAME
        self._steps = 0
        self._lock = threading.Lock()

    def __enter__(self) -> FileJournal:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.event("closed", error=None if error is None else str(error))

    def message(
        self,
        source: str,
        text: str,
        *,
        model_name: str | None = None,
        reasoning: str | None = None,
        tool_calls: Sequence[ToolCall] = (),
        usage: StepUsage | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> int:
        self._steps += 1
        self._write(
            "step",
            step_id=self._steps,
            source=source,
            message=text,
            model_name=model_name,
            reasoning_content=reasoning,
            tool_calls=[
                {"tool_call_id": c.tool_call_id, "function_name": c.function_name, "arguments": dict(c.arguments)}
                for c in tool_calls
            ],
            metrics=None if usage is None else asdict(usage),
            extra=dict(extra or {}),
        )
        return self._steps

    def observation(self, step_id: int, content: str, *, tool_call_id: str | None = None) -> None:
        self._write("observation", step_id=step_id, source_call_id=tool_call_id, content=content)

    def command(self, command: str) -> None:
        self._write("command", command=command)

    def output(self, chunk: bytes) -> None:
        self._write("output", text=chunk.decode("utf-8", errors="replace"))

    def event(self, name: str, **details: Any) -> None:
        self._write("event", name=name, details=details)

    def _write(self, kind: str, **content: Any) -> None:
        if self._path is None:
            return
        line = {"time": datetime.now(UTC).isoformat(), "type": kind, **content}
        with self._lock, self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
