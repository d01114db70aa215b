"""What a benchmark run is held against, and the verdict that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast

from pytest_specbench.core.approval.acknowledgement import Shown, is_more_than
from pytest_specbench.core.approval.audit import Trail, comparison_key
from pytest_specbench.core.approval.baselines import PORTABLE
from pytest_specbench.core.comparison import ComparisonRules, compare, comparison_with
from pytest_specbench.core.criterion import Criterion
from pytest_specbench.core.matching import HostParity, Match, Policy, RequireBaseline
from pytest_specbench.core.matching import match as find_match
from pytest_specbench.core.metrics import METRICS, MetricSummary, summarise
from pytest_specbench.core.records import (
    Comparison,
    MetricComparison,
    TrialRecord,
)
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Outcome, Status
from pytest_specbench.core.verdict import Verdict, acknowledged, judge
from pytest_specbench.gate.parity import check_lock, refuse_drift
from pytest_specbench.gate.preparation import Observed
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.store.baselines.records import read_baselines
from pytest_specbench.store.trusted.authority import Authority


@dataclass
class Begun:
    """What is known of a benchmark run while it goes on, so that a run that is cut short is recorded with all of it."""

    started: datetime
    name: str
    """Folder of the attempt, relative to the run folder."""
    observed: Observed | None = None
    wanted: int = 1
    """How many trials are to be run."""
    clean: bool | None = None
    commit_sha: str | None = None
    trials: list[TrialRecord] = field(default_factory=list)
    comparison: Comparison = field(default_factory=Comparison)
    trail: Trail = field(default_factory=Trail)
    acknowledgement: str | None = None
    """The audit entry by which a regression is green."""


def find_baseline(loaded: LoadedScenario, settings: Settings, begun: Begun, whose: Authority) -> Match:
    """Hold what was observed against the lock, then find the baseline it may be compared with. Runs nothing.

    Raises BlockedError when the lock and what is observed differ, or a lock or baseline cannot be trusted.
    """
    assert begun.observed is not None  # noqa: S101 - for the type checker: the caller has just set it
    found, scenario_id = begun.observed.fingerprint, loaded.scenario.scenario_id
    begun.comparison = check_lock(loaded, settings, found)
    refuse_drift(begun.comparison, loaded, settings)
    baselines = read_baselines(whose.tree, scenario_id, whose.trust)
    begun.trail = baselines.trail
    policy = Policy(
        require_baseline=cast("RequireBaseline", settings.require_baseline),
        host_parity=cast("HostParity", settings.host_parity),
    )
    match = find_match(
        found, baselines.active, ever_active=baselines.ever_active, policy=policy, today=begun.started.date()
    )
    begun.comparison = begun.comparison.model_copy(update={"diff": match.diff})
    return match


def judge_against(match: Match, loaded: LoadedScenario, begun: Begun) -> Verdict:
    """The verdict of the trials, compared with the baseline that was found."""
    scenario, by_rate = loaded.scenario, loaded.scenario.success is not None
    measured = summaries(begun.trials, by_rate=by_rate)
    compared: tuple[MetricComparison, ...] = ()
    if match.baseline is not None and begun.observed is not None:
        rules = ComparisonRules(
            scenario.metrics_tracked, scenario.thresholds, same_host=match.same_host, by_rate=by_rate
        )
        compared = compare(measured, match.baseline.metrics, rules)
        against = comparison_with(match.baseline, begun.observed.fingerprint, compared, same_host=match.same_host)
        begun.comparison = against.model_copy(update={"lock": begun.comparison.lock})
    criterion = None if scenario.success is None else Criterion(scenario.success.min_rate, begun.wanted)
    return judge(counted(begun.trials), measured, scenario.metrics_tracked, match, compared, criterion)


def with_acknowledgement(verdict: Verdict, match: Match, loaded: LoadedScenario, begun: Begun) -> Verdict:
    """The verdict, green where it is a regression that a maintainer acknowledged and that is no worse than that."""
    if verdict.status is not Status.REGRESSION or begun.observed is None:
        return verdict
    scenario, found = loaded.scenario, begun.observed.fingerprint
    shown = Shown(
        cause=verdict.cause,
        trials=counted(begun.trials),
        metrics=summaries(begun.trials, by_rate=scenario.success is not None),
        tracked=scenario.metrics_tracked,
        comparison=begun.comparison,
    )
    keys = [comparison_key(found, name) for name in (str(found.host.get("class")), PORTABLE)]
    not_covered: list[str] = []
    for filed in begun.trail.acknowledgements(scenario.scenario_id, keys, begun.started.date()):
        entry, known = filed.entry, filed.entry.acknowledged
        if known is None:
            continue
        # A success would be owed an approval here, so a failure is not green either.
        more = match.notes if match.cause is not None else is_more_than(known, shown, trials=begun.wanted)
        if more is None:
            begun.acknowledgement = filed.name
            return acknowledged(verdict, f"acknowledged until {known.until} by {entry.by}: {entry.reason}")
        not_covered.append(f"the acknowledgement of {entry.at:%Y-%m-%d} does not cover it: {more}")
    return replace(verdict, notes="; ".join([verdict.notes, *not_covered]))


def counted(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that the verdict looks at."""
    return [trial for trial in trials if not trial.repeated]


def summaries(trials: Sequence[TrialRecord], *, by_rate: bool) -> dict[str, MetricSummary]:
    """Every metric over the counted trials. `by_rate`: what failed trials cost says nothing about a scenario that may
    fail now and then, so that all but `success` is taken from the trials that succeeded.
    """
    every = counted(trials)
    succeeded = [trial for trial in every if trial.outcome is Outcome.SUCCESS]
    return {
        name: summarise(name, (one.metrics[name] for one in (succeeded if by_rate and name != "success" else every)))
        for name in METRICS
    }
