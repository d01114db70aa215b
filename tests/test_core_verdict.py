"""From trials to a verdict: every row of the table "status, by cause" that trials alone decide."""

from __future__ import annotations

import pytest
from core_samples import trial

from pytest_specbench.core.metrics import METRICS, Measurement, summarise
from pytest_specbench.core.status import FUNCTIONAL_FAILURES, Cause, Outcome, Status
from pytest_specbench.core.verdict import judge

INFRASTRUCTURE = sorted(set(Cause) - FUNCTIONAL_FAILURES - {Cause.VERIFIED, Cause.METRIC_REGRESSION})


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
