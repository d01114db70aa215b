"""The metrics: their names, units and whether they depend on the host. Unknown is null with a reason, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from pydantic import model_validator

from pytest_specbench.core.model import Record


@dataclass(frozen=True)
class MetricKind:
    """What a metric is: `unit` of its value, whether it depends on the host, and whether more is worse."""

    unit: str
    depends_on_host: bool
    meaning: str
    more_is_worse: bool = True


METRICS: Mapping[str, MetricKind] = {
    "runtime_ms": MetricKind("ms", True, "wall time of the agent phase, by a monotonic clock"),
    "model_wait_ms": MetricKind("ms", True, "part of the agent phase spent waiting for the model"),
    "cpu_ms": MetricKind("ms", True, "CPU time of the agent phase inside the sandbox"),
    "peak_memory_mb": MetricKind("MB", True, "peak working set (anonymous and shared memory) of the agent phase"),
    "kernel_peak_memory_mb": MetricKind("MB", True, "the kernel's own peak, page cache included"),
    "exit_status": MetricKind("code", False, "exit status of the agent; 0 when it ended by itself and content"),
    "success": MetricKind("bool", False, "the verifier said yes", more_is_worse=False),
    "steps": MetricKind("steps", False, "model replies, or commands where no model acts"),
    "input_tokens": MetricKind("tokens", False, "prompt tokens, cached ones included"),
    "output_tokens": MetricKind("tokens", False, "completion tokens"),
    "cached_tokens": MetricKind("tokens", False, "prompt tokens served from the provider's cache"),
    "cost_usd": MetricKind("USD", False, "cost by the recorded price table, or as the agent reports it"),
}
"""Every metric a trial reports. MB is 1,000,000 bytes."""

DEFAULT_TRACKED = ("runtime_ms", "peak_memory_mb", "exit_status", "success")
DEFAULT_THRESHOLDS_PERCENT: Mapping[str, float] = {"runtime_ms": 15.0, "peak_memory_mb": 20.0}
WITHOUT_DEGREES = ("exit_status", "success")
"""Metrics that need no threshold: any other value is worse."""


class Measurement(Record):
    """One value, or null with the reason why it is unknown."""

    value: float | int | bool | None
    """The value in the metric's unit, null when it could not be measured."""
    reason: str | None = None
    """Why `value` is null; null when there is a value."""

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> Measurement:
        if (self.value is None) != (self.reason is not None):
            raise ValueError("a measurement has either a value or the reason why there is none")
        return self

    @classmethod
    def unknown(cls, reason: str) -> Measurement:
        """A null with its reason."""
        return cls(value=None, reason=reason)


class MetricSummary(Record):
    """One metric over the trials of a benchmark run."""

    value: float | int | bool | None
    """Median over the trials; for `success` true when all succeeded; null when any trial could not measure it."""
    unit: str
    """Unit of `value`, `low`, `high` and `values`."""
    low: float | int | bool | None = None
    """Smallest value."""
    high: float | int | bool | None = None
    """Largest value."""
    values: tuple[float | int | bool | None, ...] = ()
    """One value a trial, in the order of the trials."""
    reason: str | None = None
    """Why `value` is null."""


def summarise(name: str, measurements: Iterable[Measurement]) -> MetricSummary:
    """Summarise one metric over trials; a single unmeasured trial makes the summary null, with that trial's reason."""
    trials = tuple(measurements)
    missing = [f"trial {n}: {trial.reason}" for n, trial in enumerate(trials, 1) if trial.value is None]
    if not trials:
        missing = ["no trial was measured"]
    if missing:
        values = tuple(trial.value for trial in trials)
        return MetricSummary(value=None, unit=METRICS[name].unit, values=values, reason="; ".join(missing))
    return summary_of(name, tuple(trial.value for trial in trials if trial.value is not None))


def summary_of(name: str, known: tuple[float | int | bool, ...]) -> MetricSummary:
    """The summary that follows from the values of a metric, of which there is at least one and none is unknown."""
    middle: float | int | bool = all(known) if name == "success" else known[0] if len(known) == 1 else median(known)
    return MetricSummary(value=middle, unit=METRICS[name].unit, low=min(known), high=max(known), values=known)
