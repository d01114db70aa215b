"""From trials to a verdict: the table "status, by cause". Pure, and fail closed: what is unknown never passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_specbench.core.criterion import Criterion
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
from pytest_specbench.core.transitions import RunEvent, run_after

EXITS: Mapping[Status, int] = {
    Status.PASS: EXIT_PASS,
    Status.PROVISIONAL: EXIT_PASS,
    Status.REGRESSION: EXIT_REGRESSION,
    Status.BLOCKED: EXIT_BLOCKED,
}
"""What a status exits with; a provisional run that is owed an approval exits as a blocked one."""


@dataclass(frozen=True)
class Verdict:
    """Status of a benchmark run with its cause, the exit code it stands for, and a sentence or more for a person."""

    status: Status
    cause: Cause
    exit_code: int
    notes: str


def blocked(cause: Cause, notes: str) -> Verdict:
    """Nothing may be judged."""
    return _verdict([RunEvent.BLOCKED], cause, notes)


def acknowledged(verdict: Verdict, notes: str) -> Verdict:
    """A regression that a maintainer acknowledged; `notes` says who did, until when and why."""
    status = run_after(verdict.status, [RunEvent.ACKNOWLEDGED])
    return Verdict(status, Cause.ACKNOWLEDGED, EXITS[status], f"{notes}; {verdict.notes}")


def _verdict(events: Sequence[RunEvent], cause: Cause, notes: str) -> Verdict:
    status = run_after(Status.PROVISIONAL, events)
    return Verdict(status, cause, EXITS[status], notes)


def judge(
    trials: Sequence[TrialRecord],
    metrics: Mapping[str, MetricSummary],
    tracked: Sequence[str],
    match: Match | None = None,
    compared: Sequence[MetricComparison] = (),
    criterion: Criterion | None = None,
) -> Verdict:
    """Judge counted trials (repeated attempts left out), and their metrics against the baseline that `match` found.

    An agent's failure is a regression, unless `criterion` allows for some. Infrastructure that failed in any trial
    blocks, unless the others showed that the agent fails: with both kinds present the regression wins. A tracked metric
    that is unknown blocks, and so does one that could not be compared, unless it depends on the host and the baseline
    is another host's.
    """
    functional = _functional(trials, metrics, tracked, criterion or Criterion(trials=len(trials)))
    if functional is not None:
        return functional
    if match is None or match.baseline is None:
        notes = f"{_success(trials)}; " + (match.notes if match else "there is nothing to compare with")
        if match is not None and match.cause is not None:
            return replace(_verdict([], match.cause, notes), exit_code=EXIT_BLOCKED)
        return _verdict([], Cause.VERIFIED, notes)
    judged = [item for item in compared if item.tracked]
    missing = {item.name: item.reason for item in judged if item.result == "not compared"}
    missing |= dict.fromkeys({*tracked} - {item.name for item in judged}, "nothing compared it")
    worse = [item for item in judged if item.result == "worse"]
    if worse:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in worse)
        return _verdict([RunEvent.COMPARED, RunEvent.WORSE], Cause.METRIC_REGRESSION, reasons)
    owed = [name for name in missing if match.same_host or not METRICS[name].depends_on_host]
    if owed:
        reasons = "; ".join(f"the tracked metric {name} was not compared: {missing[name]}" for name in owed)
        return blocked(
            Cause.BASELINE_INVALID,
            f"{reasons} ({match.baseline.baseline_id}); approve a run that holds what is tracked",
        )
    if not any(item.result == "within" for item in judged):
        return blocked(Cause.PARITY, f"no tracked metric could be compared with {match.baseline.baseline_id}")
    share = _success(trials) if any(trial.outcome is not Outcome.SUCCESS for trial in trials) else ""
    return _verdict([RunEvent.COMPARED], Cause.VERIFIED, "; ".join(filter(None, [share, match.notes])))


def _success(trials: Sequence[TrialRecord]) -> str:
    passed = sum(trial.outcome is Outcome.SUCCESS for trial in trials)
    return "every check passed" if passed == len(trials) else f"{passed} of {len(trials)} trials succeeded"


def _functional(
    trials: Sequence[TrialRecord],
    metrics: Mapping[str, MetricSummary],
    tracked: Sequence[str],
    criterion: Criterion,
) -> Verdict | None:
    """The verdict that the trials alone make; None when all is well and known."""
    if not trials:
        return blocked(Cause.NO_VERDICT, "no trial was run")
    failures = [trial for trial in trials if trial.outcome is Outcome.FAILURE]
    for trial in failures:
        if trial.cause not in FUNCTIONAL_FAILURES:
            return blocked(Cause.INTERNAL_ERROR, f"a failed trial carries the cause {trial.cause}, which is no failure")
    if failures and criterion.failed(len(failures)):
        first = failures[0]
        share = f"{len(failures)} of {len(trials)} trials failed; the first: " if len(trials) > 1 else ""
        return _verdict([RunEvent.FAILED], first.cause, share + first.reason)
    broken = [trial for trial in trials if trial.outcome is Outcome.INFRASTRUCTURE]
    if broken:
        return blocked(broken[0].cause, f"trial {broken[0].index} says nothing about the agent: {broken[0].reason}")
    if len(trials) < criterion.trials:
        return blocked(Cause.NO_VERDICT, f"{len(trials)} of {criterion.trials} trials were run")
    for name in tracked:
        summary = metrics.get(name)
        if summary is None or summary.value is None:
            why = summary.reason if summary else "it was not recorded"
            return blocked(Cause.METRIC_UNMEASURED, f"the tracked metric {name} could not be measured: {why}")
    return None
