"""Metrics: unknown is null with a reason, never 0; the summary of trials is their median."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pytest_specbench.core.metrics import Measurement, summarise


def test_a_measurement_has_a_value_or_a_reason_and_never_both():
    assert Measurement(value=0).value == 0
    assert Measurement.unknown("no clock").value is None
    for wrong in ({"value": None}, {"value": 1, "reason": "why"}):
        with pytest.raises(ValidationError):
            Measurement(**wrong)
    with pytest.raises(ValidationError):
        Measurement(value=float("nan"))


def test_the_summary_is_the_median_with_its_range():
    summary = summarise("runtime_ms", [Measurement(value=v) for v in (30.0, 10.0, 20.0)])
    assert (summary.value, summary.low, summary.high, summary.values) == (20.0, 10.0, 30.0, (30.0, 10.0, 20.0))
    assert summary.unit == "ms"


def test_success_is_true_only_when_every_trial_succeeded():
    assert summarise("success", [Measurement(value=True), Measurement(value=True)]).value is True
    assert summarise("success", [Measurement(value=True), Measurement(value=False)]).value is False


def test_one_unmeasured_trial_makes_the_summary_unknown():
    summary = summarise("steps", [Measurement(value=3), Measurement.unknown("it vanished")])
    assert summary.value is None
    assert summary.reason == "trial 2: it vanished"


def test_nothing_measured_is_unknown():
    assert summarise("steps", []).value is None
