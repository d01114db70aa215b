"""What the agent does, as it happens: the raw event log, the terminal recording and the steps of the trajectory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


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
