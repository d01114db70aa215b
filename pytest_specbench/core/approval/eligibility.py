"""When a run may become a baseline: the passing runs that it takes, and every reason why it may not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pytest_specbench.core.criterion import Criterion
from pytest_specbench.core.metrics import METRICS
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.status import Cause, Outcome, Status

PASSING_RUNS = 3
"""Consecutive passing runs that an approval takes."""
POOLED_TRIALS = 10
"""Trials that the record of a stochastic scenario rests on, at least."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for."""

    accept_regression: bool = False
    """An acknowledged regression may become the baseline."""
    stochastic: bool = False
    """The scenario passes by a rate of its own, so that its record must pool many trials."""


@dataclass(frozen=True)
class Streak:
    """The runs that an approval would rest on."""

    runs: tuple[BenchmarkRun, ...]
    """Oldest first; the last is the run that is to be approved."""
    broken_by: str
    """Why there are no more of them, in a sentence."""

    @property
    def trials(self) -> int:
        """Counted trials of all of its runs."""
        return sum(not trial.repeated for run in self.runs for trial in run.trials)


def passes(run: BenchmarkRun, wanted: Wanted) -> bool:
    """Whether the run counts as passing: every check passed, and nothing got worse that was not acknowledged.

    A failure that was acknowledged is green for a while, and no measure of anything.
    """
    if run.cause is Cause.ACKNOWLEDGED:
        return wanted.accept_regression and succeeded(run)
    return run.status in (Status.PASS, Status.PROVISIONAL)


def succeeded(run: BenchmarkRun) -> bool:
    """Whether the trials alone are a success: all of them, or as large a share as the scenario asks for."""
    counted = [trial for trial in run.trials if not trial.repeated]
    failures = sum(trial.outcome is not Outcome.SUCCESS for trial in counted)
    return bool(counted) and not Criterion(run.min_rate or 1.0, len(counted)).failed(failures)


def streak(run: BenchmarkRun, recorded: Iterable[BenchmarkRun], wanted: Wanted) -> Streak:
    """The consecutive passing runs that end with `run`, as far back as the record needs them.

    `recorded` are the runs of its scenario, in any order, with the attempts before a run's last that did not pass.
    Those with another instrument or host class are another environment's and do not count; nor do blocked ones, which
    say nothing. A failed, a worse and an unclean run end the streak, and so does one with another subject.
    """
    taken: list[BenchmarkRun] = []
    ended = "no earlier run of this scenario in this environment is recorded"
    # By identity: a run that was recorded here and imported once more is still one run.
    known = {_place(one): one for one in recorded}
    own = _place(run)
    # Of its own run `run` is the last attempt, whatever the clock did meanwhile.
    earlier = sorted((place for place in known if place != own and (place < own or place[1] == own[1])), reverse=True)
    seen: set[UUID] = set()
    for one in [run, *(known[place] for place in earlier)]:
        # An earlier attempt of a run may end the streak; it is no run of its own.
        again = one.run_id in seen
        seen.add(one.run_id)
        if one is not run and (one.status is Status.BLOCKED or not _same_environment(one, run)):
            continue
        problem = _ends(one, run, wanted)
        if problem:
            ended = f"run {one.run_id} of {one.executed_at:%Y-%m-%d %H:%M} {problem}"
            break
        if again:
            continue
        taken.append(one)
        enough = POOLED_TRIALS if wanted.stochastic else 0
        if len(taken) >= PASSING_RUNS and Streak(tuple(taken), "").trials >= enough:
            break
    return Streak(tuple(reversed(taken)), ended)


def refusals(run: BenchmarkRun, found: Streak, wanted: Wanted) -> list[str]:
    """Every reason, one sentence each, why `run` may not become a baseline by what was measured; none when it may."""
    reasons: list[str] = []
    if run.status is Status.REGRESSION:
        reasons.append(
            f"the run is a regression ({run.cause}); acknowledge it with `specbench ack`, run again, and approve that "
            "run with --accept-regression and --reason"
        )
    elif run.cause is Cause.ACKNOWLEDGED and not wanted.accept_regression:
        reasons.append("the run is an acknowledged regression; say so with --accept-regression and --reason")
    elif run.cause is Cause.ACKNOWLEDGED and not succeeded(run):
        reasons.append("the run is an acknowledged failure, which cannot be what later runs are compared with")
    elif not passes(run, wanted):
        reasons.append(f"the run is {run.status} ({run.cause}); expected provisional or pass")
    elif not succeeded(run):
        reasons.append("its trials are no success")
    if run.fingerprint is None:
        reasons.append("the run has no fingerprint: it ended before anything was known")
    if run.clean is not True:
        reasons.append("the run was not made from a clean commit, so that nobody could repeat it")
    if len(found.runs) < PASSING_RUNS:
        reasons.append(
            f"{PASSING_RUNS} consecutive passing runs with the same instrument, subject and host class are needed, and "
            f"{len(found.runs)} {'is' if len(found.runs) == 1 else 'are'} recorded: {found.broken_by}"
        )
    elif wanted.stochastic and found.trials < POOLED_TRIALS:
        reasons.append(
            f"the scenario passes by a rate, so its baseline pools at least {POOLED_TRIALS} trials, and the streak has "
            f"{found.trials}: {found.broken_by}"
        )
    reasons += [
        f"the tracked metric {name} was not measured in run {one.run_id}"
        for one in found.runs
        for name in one.metrics_tracked
        if name in METRICS and (name not in one.metrics or one.metrics[name].value is None)
    ]
    return reasons


def _place(one: BenchmarkRun) -> tuple[datetime, str, str]:
    """Where an attempt comes in time, and what tells it from every other."""
    return one.executed_at, str(one.run_id), one.artifacts_path


def _same_environment(one: BenchmarkRun, run: BenchmarkRun) -> bool:
    if one.fingerprint is None or run.fingerprint is None:
        return False
    return one.fingerprint.instrument == run.fingerprint.instrument and one.fingerprint.host.get(
        "class"
    ) == run.fingerprint.host.get("class")


def _ends(one: BenchmarkRun, run: BenchmarkRun, wanted: Wanted) -> str:
    """Why a run ends the streak; empty when it belongs to it."""
    if not passes(one, wanted):
        return f"was {one.status} ({one.cause})"
    if one.clean is not True:
        return "was not made from a clean commit"
    if one.fingerprint is None or run.fingerprint is None or one.fingerprint.subject != run.fingerprint.subject:
        return "had another subject"
    return ""


def pooled_values(runs: Sequence[BenchmarkRun], name: str) -> tuple[float | int | bool, ...] | None:
    """The values of a metric in all trials of the runs, oldest first; None when any of them is unknown."""
    # A run without any value of it is one whose value is unknown, and not one that there is nothing to pool of.
    values = [value for run in runs for value in (name in run.metrics and run.metrics[name].values) or (None,)]
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) and known else None
