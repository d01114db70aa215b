"""The contract between an agent and the model that it asks: one request, one reply, nothing hidden in between."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pytest_specbench.recording.journal import StepUsage, ToolCall

MALFORMED_ARGUMENTS = "malformed_arguments"
"""Key under which a `ToolCall` carries the text of arguments that were no JSON object."""

type Message = Mapping[str, Any]
"""A chat message in the form of the OpenAI API."""


@dataclass(frozen=True)
class ModelRequest:
    """One request. Messages and tools are in the form of the OpenAI API."""

    stage: str
    """Name of the workflow stage."""
    step: int
    """Number of the reply that is asked for, from 1 within the stage."""
    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]]
    deadline: float
    """`time.monotonic()` at which the phase ends."""
    exit_codes: tuple[int | None, ...] = ()
    """Exit codes of the commands that ran since the last reply, in order; null for one killed at its time limit."""
    workdir: str = ""
    """The sandbox's working folder; a replay treats it as the same wherever it lies."""

    @property
    def tool_names(self) -> list[str]:
        """Names of the offered tools, in order."""
        return [str(tool["function"]["name"]) for tool in self.tools]


@dataclass(frozen=True)
class ModelReply:
    """One reply. `usage.extra` holds `usage_reason` and `cost_reason` where tokens or cost are null."""

    content: str
    tool_calls: Sequence[ToolCall] = ()
    reasoning: str | None = None
    usage: StepUsage = field(default_factory=StepUsage)
    wait_ms: float = 0.0
    """Time from the request to the reply, repeats and pauses included."""
    model_name: str = ""
    """The model that answered, as the provider names it."""
    finish_reason: str = "stop"
    """`stop`, `tool_calls`, or `length` where the reply was cut."""


class ModelClient(Protocol):
    """A model, live or replayed."""

    @property
    def name(self) -> str:
        """LiteLLM name or `replay:CASSETTE`."""
        ...

    @property
    def live(self) -> bool:
        """False when the replies are known beforehand: nothing is spent, and tokens and cost are not measured."""
        ...

    def complete(self, request: ModelRequest) -> ModelReply:
        """Ask for the next reply.

        Raises AgentError when the conversation cannot go on by the agent's doing (context too long, refusal),
        AgentStoppedError at the deadline, InfrastructureError(PROVIDER_FAILED) after the last repeat, and BlockedError
        for a missing key, a wrong configuration or a replay that diverged.
        """
        ...

    def finish(self, *, content: bool) -> None:
        """The conversation is over; `content` says that the agent ended by itself. Raises BlockedError, see above."""
        ...

    def close(self) -> None:
        """Give up a request or a pause that is under way in another thread. Idempotent."""
        ...


def assistant_message(content: str, tool_calls: Sequence[ToolCall]) -> dict[str, Any]:
    """The reply as it goes back into the conversation; arguments are valid JSON even where the model's were not."""
    message: dict[str, Any] = {"role": "assistant", "content": content or None}
    if tool_calls:
        message["tool_calls"] = [
            {
                "id": call.tool_call_id,
                "type": "function",
                "function": {
                    "name": call.function_name,
                    "arguments": json.dumps(dict(call.arguments), ensure_ascii=False),
                },
            }
            for call in tool_calls
        ]
    elif not content:
        message["content"] = ""
    return message


def tool_message(tool_call_id: str, content: str) -> dict[str, Any]:
    """What a tool gave back, as it goes into the conversation."""
    return {"role": "tool", "tool_call_id": tool_call_id, "content": content}
