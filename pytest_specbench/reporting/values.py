"""Metric values as people read them; the unknown is `-`, never 0."""

from __future__ import annotations

from pytest_specbench.core.metrics import METRICS
from pytest_specbench.core.records import SubjectChange
from pytest_specbench.core.status import Cause, Status
from pytest_specbench.core.text import one_line

type Value = float | int | bool | None

UNKNOWN = "-"
_VALUE = 200
"""How much of a value is shown."""


def show_value(name: str, value: Value) -> str:
    """A value of the metric `name` with its unit, for example `12.3 s`, `512 MB`, `yes`, `$0.0120`."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    unit = METRICS[name].unit if name in METRICS else ""
    if unit == "ms":
        return show_duration(value)
    if unit == "MB":
        return f"{value:.1f} MB" if abs(value) < 10 else f"{value:.0f} MB"
    if unit == "tokens":
        return show_count(value)
    if unit == "USD":
        return f"${value:.4f}" if abs(value) < 1 else f"${value:.2f}"
    return f"{value:g}"


def show_duration(milliseconds: float) -> str:
    """Milliseconds as `850 ms`, `12.3 s` or `3 min 05 s`."""
    if round(milliseconds) < 1000:
        return f"{milliseconds:.0f} ms"
    if round(milliseconds / 1000, 1) < 60:
        return f"{milliseconds / 1000:.1f} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes} min {seconds:02d} s"


def show_count(count: float) -> str:
    """A number of tokens as `950`, `12.3k` or `4.5M`."""
    if round(count) < 1000:
        return f"{count:g}"
    if round(count / 1000, 1) < 1000:
        return f"{count / 1000:.1f}k"
    return f"{count / 1_000_000:.1f}M"


def show_delta(percent: float | None) -> str:
    """A delta as `+5.4%`; `-` where there is none."""
    # Adding 0.0 turns the negative zero that rounding may leave into a plain one.
    return UNKNOWN if percent is None else f"{round(percent, 1) + 0.0:+.1f}%"


def show_status(status: Status, baseline_id: str | None) -> str:
    """A status as people read it. Without a baseline nothing got worse: it is `failed`, and no `regression`."""
    return "failed" if status is Status.REGRESSION and baseline_id is None else status.value


def show_change(change: SubjectChange) -> str:
    """What became of something under test, for example `agent_version: 1.0 -> 1.1`."""
    before, now = (
        UNKNOWN if value is None else one_line(str(value), _VALUE) for value in (change.baseline, change.measured)
    )
    return f"{change.name}: {before} -> {now}"


def show_cause(cause: Cause) -> str:
    """A cause in words: `artifact missing`."""
    return cause.value.replace("_", " ")
