"""From trials to a verdict: the table "status, by cause". Pure, and fail closed: what is unknown never passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_specbench.core.metrics import MetricSummary
from pytest_specbench.core.records import TrialRecord
from pytest_specbench.core.status import (
    EXIT_BLOCKED,
    EXIT_PASS,
    EXIT_REGRESSION,
    FUNCTIONAL_FAILURES,
    Cause,
    Outcome,
    Status,
)


@dataclass(frozen=True)
class Verdict:
    """Status of a benchmark run with its cause, the exit code it stands for, and a sentence or more for a person."""

    status: Status
    cause: Cause
    exit_code: int
    notes: str


def blocked(cause: Cause, notes: str) -> Verdict:
    """Nothing may be judged."""
    return Verdict(Status.BLOCKED, cause, EXIT_BLOCKED, notes)


def judge(trials: Sequence[TrialRecord], metrics: Mapping[str, MetricSummary], tracked: Sequence[str]) -> Verdict:
    """Judge counted trials (repeated attempts left out) that have no baseline to be compared with.

    An agent's failure is a regression. Infrastructure that failed in any trial blocks, unless another trial showed that
    the agent fails: with both kinds present the regression wins. A tracked metric that is unknown blocks.
    """
    if not trials:
        return blocked(Cause.NO_VERDICT, "no trial was run")
    failures = [trial for trial in trials if trial.outcome is Outcome.FAILURE]
    if failures:
        first = failures[0]
        if first.cause not in FUNCTIONAL_FAILURES:
            return blocked(Cause.INTERNAL_ERROR, f"a failed trial carries the cause {first.cause}, which is no failure")
        share = f"{len(failures)} of {len(trials)} trials failed; the first: " if len(trials) > 1 else ""
        return Verdict(Status.REGRESSION, first.cause, EXIT_REGRESSION, share + first.reason)
    broken = [trial for trial in trials if trial.outcome is not Outcome.SUCCESS]
    if broken:
        return blocked(broken[0].cause, f"trial {broken[0].index} says nothing about the agent: {broken[0].reason}")
    for name in tracked:
        summary = metrics.get(name)
        if summary is None or summary.value is None:
            why = summary.reason if summary else "it was not recorded"
            return blocked(Cause.METRIC_UNMEASURED, f"the tracked metric {name} could not be measured: {why}")
    return Verdict(
        Status.PROVISIONAL,
        Cause.VERIFIED,
        EXIT_PASS,
        "every check passed; there is no approved baseline to compare with",
    )
