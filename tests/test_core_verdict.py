"""From trials to a verdict: every row of the table "status, by cause" that trials alone decide."""

from __future__ import annotations

import pytest
from core_samples import baseline, trial

from pytest_specbench.core.matching import Match
from pytest_specbench.core.metrics import METRICS, Measurement, summarise
from pytest_specbench.core.records import MetricComparison
from pytest_specbench.core.status import FUNCTIONAL_FAILURES, Cause, Outcome, Status
from pytest_specbench.core.verdict import judge

NO_FAULTS = {Cause.VERIFIED, Cause.ACKNOWLEDGED, Cause.METRIC_REGRESSION}
INFRASTRUCTURE = sorted(set(Cause) - FUNCTIONAL_FAILURES - NO_FAULTS)


def judged(*trials, tracked=("runtime_ms", "success")):
    metrics = {name: summarise(name, (each.metrics[name] for each in trials)) for name in METRICS}
    return judge(trials, metrics, tracked)


def test_success_without_a_baseline_is_provisional_and_green():
    verdict = judged(trial(1), trial(2))
    assert (verdict.status, verdict.exit_code) == (Status.PROVISIONAL, 0)


@pytest.mark.parametrize("cause", sorted(FUNCTIONAL_FAILURES))
def test_an_agents_failure_is_a_regression(cause):
    verdict = judged(trial(1), trial(2, Outcome.FAILURE, cause))
    assert (verdict.status, verdict.cause, verdict.exit_code) == (Status.REGRESSION, cause, 1)
    assert "1 of 2 trials failed" in verdict.notes


@pytest.mark.parametrize("cause", INFRASTRUCTURE)
def test_infrastructure_blocks_and_is_never_scored(cause):
    verdict = judged(trial(1), trial(2, Outcome.INFRASTRUCTURE, cause))
    assert (verdict.status, verdict.cause, verdict.exit_code) == (Status.BLOCKED, cause, 2)


def test_with_both_kinds_present_the_agents_failure_wins():
    verdict = judged(
        trial(1, Outcome.INFRASTRUCTURE, Cause.SANDBOX_FAILED), trial(2, Outcome.FAILURE, Cause.AGENT_TIMEOUT)
    )
    assert (verdict.status, verdict.cause, verdict.exit_code) == (Status.REGRESSION, Cause.AGENT_TIMEOUT, 1)


def test_no_trial_is_no_pass():
    assert judged().status is Status.BLOCKED


def test_a_tracked_metric_that_is_unknown_blocks():
    verdict = judged(trial(1, runtime_ms=Measurement.unknown("the clock broke")))
    assert (verdict.status, verdict.cause) == (Status.BLOCKED, Cause.METRIC_UNMEASURED)
    assert "the clock broke" in verdict.notes


def test_an_untracked_metric_may_be_unknown():
    verdict = judged(trial(1, cost_usd=Measurement.unknown("no price")))
    assert verdict.status is Status.PROVISIONAL


def test_a_failed_trial_whose_cause_is_no_failure_blocks():
    assert judged(trial(1, Outcome.FAILURE, Cause.SANDBOX_FAILED)).cause is Cause.INTERNAL_ERROR


def item(name, result, *, tracked=True):
    return MetricComparison(
        name=name, baseline=1, measured=1, delta_percent=None, threshold_percent=None, tracked=tracked, result=result,
        reason=None if result == "within" else f"so it is with {name}",
    )  # fmt: skip


def against(*items, tracked=("runtime_ms", "success"), same_host=True):
    one = trial()
    metrics = {name: summarise(name, [one.metrics[name]]) for name in METRICS}
    return judge([one], metrics, tracked, Match(baseline=baseline(), same_host=same_host), items)


@pytest.mark.parametrize("name", ["runtime_ms", "success"])
def test_on_the_same_host_every_tracked_metric_must_be_compared(name):
    other = {"runtime_ms": "success", "success": "runtime_ms"}[name]
    for items in ([item(name, "not compared"), item(other, "within")], [item(other, "within")]):
        verdict = against(*items)
        assert (verdict.status, verdict.cause, verdict.exit_code) == (Status.BLOCKED, Cause.BASELINE_INVALID, 2)
        assert f"the tracked metric {name} was not compared" in verdict.notes
        assert "s-1" in verdict.notes


def test_on_another_host_only_what_depends_on_the_host_may_be_missing():
    missing, there = item("runtime_ms", "not compared"), item("success", "within")
    assert against(missing, there, same_host=False).status is Status.PASS
    verdict = against(item("success", "not compared"), item("runtime_ms", "not compared"), same_host=False)
    assert (verdict.status, verdict.cause) == (Status.BLOCKED, Cause.BASELINE_INVALID)
    assert "runtime_ms" not in verdict.notes
    verdict = against(missing, tracked=["runtime_ms"], same_host=False)
    assert (verdict.status, verdict.cause) == (Status.BLOCKED, Cause.PARITY)


def test_what_is_worse_is_told_although_something_else_is_missing():
    assert against(item("runtime_ms", "worse"), item("success", "not compared")).cause is Cause.METRIC_REGRESSION


def test_what_is_not_tracked_may_be_missing():
    items = [item("runtime_ms", "within"), item("success", "within"), item("steps", "not compared", tracked=False)]
    assert against(*items).status is Status.PASS
