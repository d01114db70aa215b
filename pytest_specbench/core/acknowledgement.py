"""A known regression: what is acknowledged of a run, and whether it covers what another run shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pytest_specbench.core.audit import Acknowledged
from pytest_specbench.core.comparison import worse
from pytest_specbench.core.records import Comparison, TrialRecord
from pytest_specbench.core.status import Cause, Outcome


def what_is_known(cause: Cause, trials: Sequence[TrialRecord], comparison: Comparison, until: date) -> Acknowledged:
    """What a maintainer acknowledges who acknowledges a regression with these counted trials and this comparison."""
    return Acknowledged(
        until=until,
        cause=cause,
        metrics={item.name: item.measured for item in comparison.metrics if item.tracked and item.result == "worse"},
        checks=_failed_checks(trials),
        failed_share=_failed_share(trials),
    )


def is_more_than(
    known: Acknowledged, cause: Cause, trials: Sequence[TrialRecord], comparison: Comparison
) -> str | None:
    """What of a regression is not acknowledged, in a sentence; None when all of it is.

    A metric may be worse than the acknowledged value by its own threshold, as it may be than a baseline's: the same
    regression is never measured the same twice.
    """
    if cause is not known.cause:
        return f"its cause is {cause}, acknowledged is {known.cause}"
    if _failed_share(trials) > known.failed_share:
        return "more of its trials failed"
    others = sorted({*_failed_checks(trials)} - {*known.checks})
    if others:
        return f"another check failed: {', '.join(others)}"
    for item in comparison.metrics:
        if not item.tracked or item.result != "worse":
            continue
        accepted = known.metrics.get(item.name)
        if accepted is None or item.measured is None:
            return f"{item.name} is worse, which is not acknowledged"
        if worse(item.name, float(accepted), float(item.measured), item.threshold_percent):
            return f"{item.name} is {item.measured:g}, acknowledged is {accepted:g}"
    return None


def _failed_checks(trials: Sequence[TrialRecord]) -> tuple[str, ...]:
    return tuple(sorted({check.name for trial in trials for check in trial.checks if not check.passed}))


def _failed_share(trials: Sequence[TrialRecord]) -> float:
    failed = sum(trial.outcome is Outcome.FAILURE for trial in trials)
    return failed / len(trials) if trials else 1.0
