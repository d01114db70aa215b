"""From the journal to an ATIF trajectory. A total is there only where every step reported; unknown is never 0."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pytest_specbench.core.errors import UsageError
from pytest_specbench.recording.atif_check import check_trajectory
from pytest_specbench.recording.atif_models import (
    ATIF_VERSION,
    SUPPORTED_VERSIONS,
    AtifAgent,
    AtifToolCall,
    FinalMetrics,
    Metrics,
    Observation,
    ObservationResult,
    Step,
    Trajectory,
)
from pytest_specbench.recording.journal import RecordedStep, StepUsage

__all__ = ["ATIF_VERSION", "SUPPORTED_VERSIONS", "TrajectoryHead", "build_trajectory", "check_trajectory"]


@dataclass(frozen=True)
class TrajectoryHead:
    """What a trajectory says besides its steps.

    `session_id` identifies the trial. `instruction` becomes the one step of an agent that left none. `extra` is for the
    whole document (causes, limits), `metrics_extra` for measurements that ATIF has no field for, such as peak memory.
    """

    session_id: str
    agent_name: str
    agent_version: str
    instruction: str
    started: datetime
    model_name: str | None = None
    tool_definitions: Sequence[Mapping[str, Any]] = ()
    notes: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    metrics_extra: Mapping[str, Any] = field(default_factory=dict)


def build_trajectory(
    steps: Sequence[RecordedStep], head: TrajectoryHead, *, version: str = ATIF_VERSION
) -> dict[str, Any]:
    """Return the trajectory as plain JSON, without null fields.

    Raises UsageError for a version that is not supported, and pydantic's ValidationError (a ValueError) for steps that
    no trajectory can hold, such as tool calls of a user.
    """
    if version not in SUPPORTED_VERSIONS:
        raise UsageError(
            f"ATIF version {version!r} is not supported", expected=f"one of {', '.join(SUPPORTED_VERSIONS)}"
        )
    recorded = list(steps) or [RecordedStep(1, head.started, "user", head.instruction)]
    trajectory = Trajectory.model_validate(
        {
            "schema_version": version,
            "session_id": head.session_id,
            "agent": AtifAgent(
                name=head.agent_name,
                version=head.agent_version,
                model_name=head.model_name,
                tool_definitions=[dict(each) for each in head.tool_definitions] or None,
            ),
            "steps": [_step(each, number) for number, each in enumerate(recorded, 1)],
            "notes": head.notes,
            "final_metrics": _final(recorded, head.metrics_extra),
            "extra": dict(head.extra) or None,
        }
    )
    return trajectory.model_dump(mode="json", exclude_none=True)


def _step(step: RecordedStep, number: int) -> Step:
    return Step.model_validate(
        {
            "step_id": number,
            "timestamp": step.at.isoformat(),
            "source": step.source,
            "model_name": step.model_name,
            "message": step.message,
            "reasoning_content": step.reasoning,
            "tool_calls": [
                AtifToolCall(
                    tool_call_id=call.tool_call_id, function_name=call.function_name, arguments=dict(call.arguments)
                )
                for call in step.tool_calls
            ]
            or None,
            "observation": _observation(step),
            "metrics": _metrics(step.usage),
            "extra": dict(step.extra) if step.extra else None,
        }
    )


def _observation(step: RecordedStep) -> Observation | None:
    results = [ObservationResult(source_call_id=call, content=content) for call, content in step.observations]
    return Observation(results=results) if results else None


def _metrics(usage: StepUsage | None) -> Metrics | None:
    if usage is None:
        return None
    metrics = Metrics(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        cost_usd=usage.cost_usd,
        extra=dict(usage.extra) or None,
    )
    return metrics if metrics != Metrics() else None


def _final(steps: Sequence[RecordedStep], extra: Mapping[str, Any]) -> FinalMetrics:
    usages = [step.usage or StepUsage() for step in steps if step.source == "agent"]
    cost = _sum([usage.cost_usd for usage in usages])
    return FinalMetrics(
        total_prompt_tokens=_count([usage.input_tokens for usage in usages]),
        total_completion_tokens=_count([usage.output_tokens for usage in usages]),
        total_cached_tokens=_count([usage.cached_tokens for usage in usages]),
        total_cost_usd=cost,
        total_steps=len(steps),
        extra=dict(extra) or None,
    )


def _count(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if parts and len(known) == len(parts) else None


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return math.fsum(known) if parts and len(known) == len(parts) else None
