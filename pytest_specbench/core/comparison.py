"""Metrics against a baseline: deltas, thresholds, and whether each metric got worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.fingerprint import differences
from pytest_specbench.core.metrics import DEFAULT_THRESHOLDS_PERCENT, METRICS, WITHOUT_DEGREES, MetricSummary
from pytest_specbench.core.records import Comparison, Fingerprint, MetricComparison, Number, SubjectChange


@dataclass(frozen=True)
class ComparisonRules:
    """What decides: the scenario's tracked metrics and thresholds, and whether this host may be compared."""

    tracked: Sequence[str]
    thresholds: Mapping[str, float]
    same_host: bool
    by_rate: bool = False
    """The scenario passes by the share of its trials that succeed, so that `success` is judged already."""

    def threshold(self, name: str) -> float | None:
        """Threshold of a metric in percent: the scenario's, else the default one, else none."""
        return self.thresholds.get(name, DEFAULT_THRESHOLDS_PERCENT.get(name))


def compare(
    measured: Mapping[str, MetricSummary], approved: Mapping[str, MetricSummary], rules: ComparisonRules
) -> tuple[MetricComparison, ...]:
    """Compare every metric that either side knows, in the order of `METRICS`."""
    return tuple(_one(name, measured.get(name), approved.get(name), rules) for name in METRICS)


def _one(
    name: str, measured: MetricSummary | None, approved: MetricSummary | None, rules: ComparisonRules
) -> MetricComparison:
    now = None if measured is None else measured.value
    then = None if approved is None else approved.value
    tracked = name in rules.tracked
    threshold = rules.threshold(name)
    result: Literal["within", "worse", "not compared"] = "not compared"
    reason: str | None = None
    if METRICS[name].depends_on_host and not rules.same_host:
        reason = "it depends on the host, and the baseline is another host's"
    elif name == "success" and rules.by_rate:
        result = "within"
    elif then is None:
        reason = "the baseline does not hold it"
    elif now is None:
        reason = (measured.reason if measured else None) or "it was not measured"
    else:
        reason = worse(name, float(then), float(now), threshold)
        result = "worse" if reason else "within"
    return MetricComparison(
        name=name,
        baseline=then,
        measured=now,
        delta_percent=_delta(then, now) if result != "not compared" else None,
        threshold_percent=threshold,
        tracked=tracked,
        result=result,
        reason=reason,
    )


def _delta(then: Number, now: Number) -> float | None:
    if then is None or now is None or isinstance(then, bool) or isinstance(now, bool):
        return None
    if then == 0:
        return 0.0 if now == 0 else None
    return round((now - then) / abs(then) * 100, 3)


def worse(name: str, then: float, now: float, threshold: float | None) -> str | None:
    """What is worse now than then, in a sentence, or None.

    Exit status and success have no degrees: any other value is worse.
    """
    if name in WITHOUT_DEGREES:
        return f"it was {then:g} and is {now:g}" if now != then else None
    if threshold is None:
        return None
    change = (now - then) if METRICS[name].more_is_worse else (then - now)
    if then == 0:
        return "it was 0 and is not any more" if change > 0 else None
    percent = change / abs(then) * 100
    return f"{percent:.1f} % worse than the baseline, {threshold:g} % are allowed" if percent > threshold else None


def comparison_with(
    baseline: BaselineRecord,
    observed: Fingerprint,
    compared: Sequence[MetricComparison],
    *,
    same_host: bool,
) -> Comparison:
    """The comparison as the benchmark run records it."""
    deltas = {item.name: item.delta_percent for item in compared}
    return Comparison(
        baseline_id=baseline.baseline_id,
        same_host=same_host,
        runtime_percent=deltas.get("runtime_ms"),
        memory_percent=deltas.get("peak_memory_mb"),
        metrics=tuple(compared),
        subject_changes=tuple(
            SubjectChange(name=item.name, baseline=item.expected, measured=item.observed)
            for item in differences(baseline.fingerprint.subject, observed.subject)
        ),
    )
