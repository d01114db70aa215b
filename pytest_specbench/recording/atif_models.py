"""Models of ATIF, the Agent Trajectory Interchange Format, versions 1.5 to 1.7: what a document may hold.

They are closed and strict. What Harbor's own models accept beyond them is refused; what they accept, Harbor accepts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

ATIF_VERSION = "ATIF-v1.6"
"""The version that is written unless the configuration pins another."""
SUPPORTED_VERSIONS = ("ATIF-v1.5", "ATIF-v1.6", "ATIF-v1.7")


class AtifModel(BaseModel):
    """Frozen, closed, no conversions, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ImageSource(AtifModel):
    """Where an image lies."""

    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    path: str


class ContentPart(AtifModel):
    """A part of a message that is not only text (1.6)."""

    type: Literal["text", "image"]
    text: str | None = None
    source: ImageSource | None = None

    @model_validator(mode="after")
    def _holds_what_it_says(self) -> Self:
        if self.type == "text" and (self.text is None or self.source is not None):
            raise ValueError("a text part has `text` and no `source`")
        if self.type == "image" and (self.source is None or self.text is not None):
            raise ValueError("an image part has `source` and no `text`")
        return self


class AtifToolCall(AtifModel):
    """A call of a tool; its id is unique in the step. `extra` since 1.7."""

    tool_call_id: str
    function_name: str
    arguments: dict[str, Any]
    extra: dict[str, Any] | None = None


class SubagentTrajectoryRef(AtifModel):
    """Where the trajectory of a subagent is. `trajectory_id` since 1.7."""

    trajectory_id: str | None = None
    session_id: str | None = None
    trajectory_path: str | None = None
    extra: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        if self.trajectory_id is None and self.trajectory_path is None:
            raise ValueError("a reference to a subagent needs `trajectory_id` or `trajectory_path`")
        return self


class ObservationResult(AtifModel):
    """What came back; `source_call_id` names the tool call in the same step. `extra` since 1.7."""

    source_call_id: str | None = None
    content: str | list[ContentPart] | None = None
    subagent_trajectory_ref: list[SubagentTrajectoryRef] | None = None
    extra: dict[str, Any] | None = None


class Observation(AtifModel):
    """All that came back in a step."""

    results: list[ObservationResult]


class Metrics(AtifModel):
    """Usage of one step; `prompt_tokens` includes `cached_tokens`."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    prompt_token_ids: list[int] | None = None
    completion_token_ids: list[int] | None = None
    logprobs: list[float] | None = None
    extra: dict[str, Any] | None = None


class Step(AtifModel):
    """One turn."""

    step_id: int = Field(ge=1)
    timestamp: str | None = None
    source: Literal["system", "user", "agent"]
    model_name: str | None = None
    reasoning_effort: str | float | None = None
    message: str | list[ContentPart]
    reasoning_content: str | None = None
    tool_calls: list[AtifToolCall] | None = None
    observation: Observation | None = None
    metrics: Metrics | None = None
    is_copied_context: bool | None = None
    llm_call_count: int | None = Field(default=None, ge=0)
    extra: dict[str, Any] | None = None

    @field_validator("timestamp")
    @classmethod
    def _is_iso_8601(cls, value: str | None) -> str | None:
        if value is not None:
            # Harbor replaces every Z, and so refuses one between date and time, which Python would take.
            datetime.fromisoformat(value.replace("Z", "+00:00"))  # noqa: FURB162 - see above
        return value

    @model_validator(mode="after")
    def _only_agents_call_models(self) -> Self:
        names = ("model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics")
        for name in names if self.source != "agent" else ():
            if getattr(self, name) is not None:
                raise ValueError(f"`{name}` belongs to steps of the agent only, and this is one of the {self.source}")
        if self.source == "agent" and self.llm_call_count == 0 and (self.metrics or self.reasoning_content is not None):
            raise ValueError("a step without a model call has neither `metrics` nor `reasoning_content`")
        return self


class AtifAgent(AtifModel):
    """Who acted."""

    name: str
    version: str
    model_name: str | None = None
    tool_definitions: list[dict[str, Any]] | None = None
    extra: dict[str, Any] | None = None


class FinalMetrics(AtifModel):
    """Totals over the trajectory."""

    total_prompt_tokens: int | None = None
    total_completion_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_cost_usd: float | None = None
    total_steps: int | None = Field(default=None, ge=0)
    extra: dict[str, Any] | None = None


class Trajectory(AtifModel):
    """The document. `trajectory_id` and `subagent_trajectories` since 1.7."""

    schema_version: Literal["ATIF-v1.5", "ATIF-v1.6", "ATIF-v1.7"] = "ATIF-v1.7"
    session_id: str | None = None
    trajectory_id: str | None = None
    agent: AtifAgent
    steps: list[Step] = Field(min_length=1)
    notes: str | None = None
    final_metrics: FinalMetrics | None = None
    continued_trajectory_ref: str | None = None
    extra: dict[str, Any] | None = None
    subagent_trajectories: list[Trajectory] | None = None
