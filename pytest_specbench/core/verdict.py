"""From trials to a verdict: the table "status, by cause". Pure, and fail closed: what is unknown never passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_specbench.core.matching import Match
from pytest_specbench.core.metrics import METRICS, MetricSummary
from pytest_specbench.core.records import MetricComparison, TrialRecord
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


def judge(
    trials: Sequence[TrialRecord],
    metrics: Mapping[str, MetricSummary],
    tracked: Sequence[str],
    match: Match | None = None,
    compared: Sequence[MetricComparison] = (),
) -> Verdict:
    """Judge counted trials (repeated attempts left out), and their metrics against the baseline that `match` found.

    An agent's failure is a regression. Infrastructure that failed in any trial blocks, unless another trial showed that
    the agent fails: with both kinds present the regression wins. A tracked metric that is unknown blocks, and so does
    one that could not be compared, unless it depends on the host and the baseline is another host's.
    """
    functional = _functional(trials, metrics, tracked)
    if functional is not None:
        return functional
    if match is None or match.baseline is None:
        notes = "every check passed; " + (match.notes if match else "there is nothing to compare with")
        if match is not None and match.cause is not None:
            return Verdict(Status.PROVISIONAL, match.cause, EXIT_BLOCKED, notes)
        return Verdict(Status.PROVISIONAL, Cause.VERIFIED, EXIT_PASS, notes)
    judged = [item for item in compared if item.tracked]
    missing = {item.name: item.reason for item in judged if item.result == "not compared"}
    missing |= dict.fromkeys({*tracked} - {item.name for item in judged}, "nothing compared it")
    worse = [item for item in judged if item.result == "worse"]
    if worse:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in worse)
        return Verdict(Status.REGRESSION, Cause.METRIC_REGRESSION, EXIT_REGRESSION, reasons)
    owed = [name for name in missing if match.same_host or not METRICS[name].depends_on_host]
    if owed:
        reasons = "; ".join(f"the tracked metric {name} was not compared: {missing[name]}" for name in owed)
        return blocked(
            Cause.BASELINE_INVALID,
            f"{reasons} ({match.baseline.baseline_id}); approve a run that holds what is tracked",
        )
    if not any(item.result == "within" for item in judged):
        return blocked(Cause.PARITY, f"no tracked metric could be compared with {match.baseline.baseline_id}")
    return Verdict(Status.PASS, Cause.VERIFIED, EXIT_PASS, match.notes)


def _functional(
    trials: Sequence[TrialRecord], metrics: Mapping[str, MetricSummary], tracked: Sequence[str]
) -> Verdict | None:
    """The verdict that the trials alone make; None when all is well and known."""
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
    return None
