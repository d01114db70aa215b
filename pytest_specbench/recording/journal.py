"""What the agent does, as it happens: the raw event log, the terminal recording and the steps of the trajectory."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Protocol, Self

from pytest_specbench.core.errors import AgentStoppedError, InfrastructureError
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.cast import CastWriter
from pytest_specbench.recording.files import append_whole
from pytest_specbench.recording.folder import TrialFolder

EVENTS_LIMIT = 256_000_000
"""Bytes of the event log after which only the trial itself writes into it."""
SOURCES = ("system", "user", "agent")


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool that a model asked for."""

    tool_call_id: str
    function_name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class StepUsage:
    """Usage of one model reply as the provider reported it; null where it did not."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class Journal(Protocol):
    """Takes down what happens. Every entry is on disk before the call returns. Raises AgentStoppedError once closed."""

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
        """A step of `system`, `user` or `agent`; returns its step id, from 1."""
        ...

    def observation(self, step_id: int, content: str, *, tool_call_id: str | None = None) -> None:
        """What came back from a tool call of that step."""
        ...

    def command(self, command: str) -> None:
        """A command line is about to run: it appears in the recording as typed."""
        ...

    def output(self, chunk: bytes) -> None:
        """Output as it comes, for the recording."""
        ...

    def event(self, name: str, **details: Any) -> None:
        """Anything else worth knowing, for the raw log; values are plain JSON."""
        ...


@dataclass(frozen=True)
class RecordedStep:
    """One step, redacted; `observations` are pairs of tool call id (or null) and content, in the order they came."""

    step_id: int
    at: datetime
    source: str
    message: str
    model_name: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: StepUsage | None = None
    extra: Mapping[str, Any] | None = None
    observations: tuple[tuple[str | None, str], ...] = ()


class TrialJournal:
    """A `Journal` that writes into a `TrialFolder`; thread-safe, since an agent may be left behind at its deadline.

    Every entry has reached the operating system when the call returns; it is synced to the disk at the end. Everything
    is redacted first. `close` ends it for the agent, `note` is the trial's own and works until the `with` block ends.
    When the host cannot write, that call and every later one of the agent's raise InfrastructureError, and so does
    `close`: it is not the agent's failure. At `limit` bytes the log of events says that it is cut.
    `on_progress` is called with the number of agent steps after each of them; it must not raise.
    """

    def __init__(
        self,
        folder: TrialFolder,
        *,
        redactor: Redactor,
        terminal_size: tuple[int, int] = (120, 40),
        title: str = "",
        on_progress: Callable[[int], None] | None = None,
        limit: int = EVENTS_LIMIT,
    ) -> None:
        self._redactor = redactor
        self._on_progress = on_progress
        self._lock = threading.RLock()
        self._steps: list[RecordedStep] = []
        self._stopped: Cause | None = None
        self._ended = False
        self._broken: str | None = None
        self._left = limit
        self._started = datetime.now(UTC)
        self._zero = time.monotonic()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._log = os.open(folder.events, flags, 0o644)
        self._cast = CastWriter(
            folder.cast, size=terminal_size, timestamp=self._started.timestamp(), title=title, redactor=redactor
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._ended:
                return
            self._stopped = self._stopped or Cause.AGENT_TIMEOUT
            self._ended = True
            try:
                if self._broken is None:
                    self._cast.close(self._now())
                    os.fsync(self._log)
            finally:
                os.close(self._log)

    @property
    def steps(self) -> tuple[RecordedStep, ...]:
        """All steps so far, for the trajectory."""
        with self._lock:
            return tuple(self._steps)

    def close(self, cause: Cause = Cause.AGENT_TIMEOUT) -> None:
        """End the agent's phase: whatever the agent calls from now on raises AgentStoppedError with `cause`."""
        with self._lock:
            if self._stopped is None:
                self._stopped = cause
                with self._host_writes():
                    self._cast.close(self._now())
                    self._write("closed", {"cause": str(cause)}, own=True)

    def note(self, name: str, **details: Any) -> None:
        """An event of the trial itself, also after `close`; ignored after the end."""
        with self._lock:
            if not self._ended and self._broken is None:
                with self._host_writes():
                    self._write(name, {"details": details}, own=True)

    # -- the agent's side: Journal ---------------------------------------------------------------

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
        if source not in SOURCES:
            raise ValueError(f"the source of a step is one of {', '.join(SOURCES)}, not {source!r}")
        clean = self._redactor
        with self._lock:
            self._refuse_when_stopped()
            step = RecordedStep(
                step_id=len(self._steps) + 1,
                at=self._started + timedelta(seconds=self._now()),
                source=source,
                message=clean.text(text),
                model_name=model_name,
                reasoning=None if reasoning is None else clean.text(reasoning),
                tool_calls=tuple(
                    ToolCall(clean.text(call.tool_call_id), clean.text(call.function_name), clean.json(call.arguments))
                    for call in tool_calls
                ),
                usage=None if usage is None else replace(usage, extra=clean.json(usage.extra)),
                extra=None if extra is None else clean.json(extra),
            )
            with self._host_writes():
                self._write("message", _plain(step))
            self._steps.append(step)
            count = sum(each.source == "agent" for each in self._steps)
        if source == "agent" and self._on_progress is not None:
            self._on_progress(count)
        return step.step_id

    def observation(self, step_id: int, content: str, *, tool_call_id: str | None = None) -> None:
        with self._lock:
            self._refuse_when_stopped()
            if not 1 <= step_id <= len(self._steps):
                raise ValueError(f"there is no step {step_id}; the last one is {len(self._steps)}")
            text = self._redactor.text(content)
            call = None if tool_call_id is None else self._redactor.text(tool_call_id)
            with self._host_writes():
                self._write("observation", {"step_id": step_id, "tool_call_id": call, "content": text})
            step = self._steps[step_id - 1]
            self._steps[step_id - 1] = replace(step, observations=(*step.observations, (call, text)))

    def command(self, command: str) -> None:
        with self._lock:
            self._refuse_when_stopped()
            with self._host_writes():
                self._write("command", {"command": command})
                self._cast.command(self._now(), command)

    def output(self, chunk: bytes) -> None:
        with self._lock:
            self._refuse_when_stopped()
            with self._host_writes():
                self._cast.output(self._now(), chunk)

    def event(self, name: str, **details: Any) -> None:
        with self._lock:
            self._refuse_when_stopped()
            with self._host_writes():
                self._write(name, {"details": details})

    # -- inside ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _host_writes(self) -> Iterator[None]:
        """What the host cannot write is the host's failure, and stays so: an agent that goes on is told again."""
        if self._broken is None:
            try:
                yield
            except OSError as error:
                self._broken = error.strerror or type(error).__name__
                self._cast.abandon()
        if self._broken is None:
            return
        raise InfrastructureError(
            f"cannot write the trial's recording: {self._broken}", hint="see that the disk of the artifacts has room"
        )

    def _refuse_when_stopped(self) -> None:
        if self._stopped is not None:
            raise AgentStoppedError("the agent's phase is over; nothing is recorded any more", cause=self._stopped)

    def _now(self) -> float:
        return time.monotonic() - self._zero

    def _write(self, event: str, data: Mapping[str, Any], *, own: bool = False) -> None:
        """One line; `own` ones are the trial's, which are few and are written in any case."""
        if self._left <= 0 and not own:
            return
        seconds = self._now()
        at = (self._started + timedelta(seconds=seconds)).isoformat()
        line = {"t": round(seconds, 6), "at": at, "event": event, **self._redactor.json(data)}
        # NaN is no JSON: whoever reports it is told so at once, and nothing is written.
        encoded = json.dumps(line, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"
        self._left -= len(encoded)
        if self._left <= 0 and not own:
            cut = {"t": line["t"], "at": at, "event": "cut", "details": {"reason": "the log is too long"}}
            encoded = json.dumps(cut).encode() + b"\n"
        append_whole(self._log, encoded)


def _plain(step: RecordedStep) -> dict[str, Any]:
    """The step as plain JSON, without what it does not have."""
    usage = step.usage
    data: dict[str, Any] = {
        "step_id": step.step_id,
        "source": step.source,
        "message": step.message,
        "model_name": step.model_name,
        "reasoning": step.reasoning,
        "tool_calls": [
            {"tool_call_id": call.tool_call_id, "function_name": call.function_name, "arguments": dict(call.arguments)}
            for call in step.tool_calls
        ],
        "usage": None if usage is None else {**vars(usage), "extra": dict(usage.extra)},
        "extra": step.extra,
    }
    return {key: value for key, value in data.items() if value not in (None, [])}
