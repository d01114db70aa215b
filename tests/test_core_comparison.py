"""Metrics against a baseline: deltas, thresholds, and what got worse."""

from __future__ import annotations

import pytest
from core_samples import summary

from pytest_specbench.core.comparison import ComparisonRules, compare


def compared(name, then, now, *, thresholds=None, same_host=True):
    rules = ComparisonRules(tracked=(name,), thresholds=thresholds or {}, same_host=same_host)
    found = compare({name: summary(now)}, {name: summary(then)}, rules)
    return next(item for item in found if item.name == name)


@pytest.mark.parametrize(
    ("name", "then", "now", "result"),
    [
        ("runtime_ms", 100.0, 115.0, "within"),
        ("runtime_ms", 100.0, 115.1, "worse"),
        ("runtime_ms", 100.0, 10.0, "within"),
        ("peak_memory_mb", 100.0, 120.0, "within"),
        ("peak_memory_mb", 100.0, 120.1, "worse"),
        ("peak_memory_mb", 0, 1, "worse"),
        ("peak_memory_mb", 0, 0, "within"),
        ("exit_status", 0, 0, "within"),
        ("exit_status", 0, 1, "worse"),
        ("steps", 10, 100, "within"),
    ],
)
def test_default_thresholds(name, then, now, result):
    assert compared(name, then, now).result == result


def test_a_threshold_of_the_scenario_overrides_and_any_metric_may_have_one():
    assert compared("runtime_ms", 100, 110, thresholds={"runtime_ms": 5}).result == "worse"
    assert compared("runtime_ms", 100, 130, thresholds={"runtime_ms": 50}).result == "within"
    assert compared("steps", 10, 12, thresholds={"steps": 10}).result == "worse"
    assert compared("steps", 10, 10, thresholds={"steps": 0}).result == "within"


def test_the_delta_is_in_percent_of_the_baseline():
    found = compared("runtime_ms", 80.0, 100.0)
    assert (found.delta_percent, found.threshold_percent) == (25.0, 15.0)
    assert "25.0 % worse" in found.reason


def test_what_depends_on_the_host_is_not_compared_on_another_one():
    assert compared("runtime_ms", 100, 900, same_host=False).result == "not compared"
    assert compared("exit_status", 0, 1, same_host=False).result == "worse"


def test_what_one_side_does_not_hold_is_not_compared_and_says_why():
    assert compared("steps", None, 3).reason == "the baseline does not hold it"
    assert compared("steps", 3, None).reason == "nobody looked"
