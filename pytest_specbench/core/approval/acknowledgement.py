"""A known regression: what is acknowledged of a run, and whether it covers what another run shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pytest_specbench.core.approval.audit import Acknowledged
from pytest_specbench.core.comparison import worse
from pytest_specbench.core.metrics import METRICS, MetricSummary
from pytest_specbench.core.records import Comparison, TrialRecord
from pytest_specbench.core.status import Cause, Outcome


@dataclass(frozen=True)
class Shown:
    """What a run shows of a regression."""

    cause: Cause
    trials: Sequence[TrialRecord]
    """The counted ones."""
    metrics: Mapping[str, MetricSummary]
    tracked: Sequence[str]
    comparison: Comparison


def what_is_known(shown: Shown, until: date) -> Acknowledged:
    """What a maintainer acknowledges who acknowledges the regression that a run shows."""
    return Acknowledged(
        until=until,
        cause=shown.cause,
        metrics={
            item.name: item.measured for item in shown.comparison.metrics if item.tracked and item.result == "worse"
        },
        checks=_failed_checks(shown.trials),
        problems=_problems(shown.trials),
        unmeasured=_unmeasured(shown),
        failed_share=_failed_share(shown.trials),
    )


def is_more_than(known: Acknowledged, shown: Shown, *, trials: int) -> str | None:
    """What of a regression is not acknowledged, in a sentence; None when all of it is. `trials`: how many a run has.

    A metric may be worse than the acknowledged value by its own threshold, as it may be than a baseline's: the same
    regression is never measured the same twice.
    """
    return _trials_say_more(known, shown, trials) or _metrics_say_more(known, shown)


def _trials_say_more(known: Acknowledged, shown: Shown, trials: int) -> str | None:
    causes = {trial.cause for trial in shown.trials if trial.outcome is Outcome.FAILURE}
    others = sorted({shown.cause, *causes} - {known.cause})
    broken = any(trial.outcome is Outcome.INFRASTRUCTURE for trial in shown.trials)
    checks = sorted({*_failed_checks(shown.trials)} - {*known.checks})
    if others:
        return f"acknowledged is {known.cause}, and not {', '.join(others)}"
    if broken or len(shown.trials) < trials:
        return "not all of its trials say something about the agent"
    if _failed_share(shown.trials) > known.failed_share:
        return "more of its trials failed"
    if checks:
        return f"another check failed: {', '.join(checks)}"
    if _problems(shown.trials) > known.problems:
        return f"its checks tell {_problems(shown.trials)} problems, acknowledged are {known.problems}"
    return None


def _metrics_say_more(known: Acknowledged, shown: Shown) -> str | None:
    unmeasured = sorted({*_unmeasured(shown)} - {*known.unmeasured})
    if unmeasured:
        return f"{', '.join(unmeasured)} could not be measured"
    for item in shown.comparison.metrics:
        if not item.tracked:
            continue
        elsewhere = METRICS[item.name].depends_on_host and shown.comparison.same_host is False
        if item.result == "not compared" and not elsewhere and item.name not in known.unmeasured:
            return f"{item.name} was not compared"
        if item.result != "worse":
            continue
        accepted = known.metrics.get(item.name)
        if accepted is None or item.measured is None:
            return f"{item.name} is worse, which is not acknowledged"
        if worse(item.name, float(accepted), float(item.measured), item.threshold_percent):
            return f"{item.name} is {item.measured:g}, acknowledged is {accepted:g}"
    return None


def _failed_checks(trials: Sequence[TrialRecord]) -> tuple[str, ...]:
    return tuple(sorted({check.name for trial in trials for check in trial.checks if not check.passed}))


def _problems(trials: Sequence[TrialRecord]) -> int:
    return max((sum(len(check.problems) for check in trial.checks) for trial in trials), default=0)


def _unmeasured(shown: Shown) -> tuple[str, ...]:
    return tuple(name for name in shown.tracked if name not in shown.metrics or shown.metrics[name].value is None)


def _failed_share(trials: Sequence[TrialRecord]) -> float:
    failed = sum(trial.outcome is Outcome.FAILURE for trial in trials)
    return failed / len(trials) if trials else 1.0
