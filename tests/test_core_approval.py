"""When a run may become a baseline: the streak behind it, and every reason against it at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from core_samples import NOW, fingerprint, summary, trial
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_specbench.core.approval.eligibility import (
    PASSING_RUNS,
    POOLED_TRIALS,
    Streak,
    Wanted,
    passes,
    pooled_values,
    refusals,
    streak,
)
from pytest_specbench.core.metrics import summary_of
from pytest_specbench.core.records import BenchmarkRun, Fingerprint
from pytest_specbench.core.status import Cause, Status

PLAIN = Wanted()


def run(number: int = 9, **changes: Any) -> BenchmarkRun:
    """A clean run that passed; a higher number is a later one."""
    fields: dict[str, Any] = {
        "run_id": UUID(int=number),
        "scenario_id": "s",
        "display_name": "S",
        "owner_rotation": "maintainers",
        "clean": True,
        "executed_at": NOW + timedelta(hours=number),
        "runner_image": None,
        "dataset_version": "d==1",
        "status": Status.PASS,
        "cause": Cause.VERIFIED,
        "notes": "",
        "exit_code": 0,
        "metrics": {"runtime_ms": summary(100.0)},
        "metrics_tracked": ("runtime_ms",),
        "trials": (trial(),),
        "fingerprint": fingerprint(),
        "artifacts_path": "s",
    }
    return BenchmarkRun(**(fields | changes))


FAILED: dict[str, Any] = {"status": Status.REGRESSION, "cause": Cause.VERIFIER_SAID_NO}


def rerun(number: int, **first: Any) -> tuple[BenchmarkRun, BenchmarkRun]:
    """A run of two attempts, of which the second passed."""
    again = run(number, artifacts_path="s/rerun-01", executed_at=NOW + timedelta(hours=number, minutes=5))
    return run(number, **first), again


def another_subject(version: str = "2") -> Fingerprint:
    return fingerprint().model_copy(update={"subject": {"agent_version": version}})


def reasons(one: BenchmarkRun, recorded: Sequence[BenchmarkRun], wanted: Wanted = PLAIN) -> list[str]:
    return refusals(one, streak(one, recorded, wanted), wanted)


def numbers(found: Streak) -> list[int]:
    return [one.run_id.int for one in found.runs]


class TestTheStreak:
    def test_ends_with_the_run_and_has_as_many_as_it_takes(self) -> None:
        recorded = [run(number) for number in (5, 7, 3, 8, 6)]

        assert numbers(streak(run(9), recorded, PLAIN)) == [7, 8, 9]

    def test_does_not_look_at_later_runs(self) -> None:
        recorded = [run(number, status=Status.REGRESSION, cause=Cause.METRIC_REGRESSION) for number in (10, 11)]

        assert numbers(streak(run(9), [*recorded, run(7), run(8)], PLAIN)) == [7, 8, 9]

    def test_counts_a_run_that_is_recorded_twice_once(self) -> None:
        found = streak(run(9), [run(8), run(8), run(9)], PLAIN)

        assert numbers(found) == [8, 9]

    def test_is_ended_by_an_earlier_attempt_that_failed(self) -> None:
        """A plugin ran the scenario until it passed."""
        recorded = [run(5), run(6), *(attempt for number in (7, 8, 9) for attempt in rerun(number, **FAILED))]
        last = recorded[-1]

        found = streak(last, recorded, PLAIN)

        assert numbers(found) == [9]
        assert "was regression (verifier_said_no)" in found.broken_by
        assert any("consecutive passing runs" in reason for reason in reasons(last, recorded))

    def test_is_ended_by_it_although_the_clock_was_set_back_between_the_attempts(self) -> None:
        first, last = rerun(9, **FAILED)
        back = last.model_copy(update={"executed_at": first.executed_at - timedelta(minutes=1)})

        assert numbers(streak(back, [run(7), run(8), first, back], PLAIN)) == [9]

    def test_begins_anew_with_the_attempt_that_passed(self) -> None:
        assert numbers(streak(run(9), [*rerun(7, **FAILED), run(8)], PLAIN)) == [7, 8, 9]

    @pytest.mark.parametrize("changes", [{"status": Status.BLOCKED, "cause": Cause.INTERRUPTED}, {}])
    def test_counts_a_run_that_was_resumed_once(self, changes: dict[str, Any]) -> None:
        recorded = [*rerun(7, **changes), *rerun(8, **changes), *rerun(9, **changes)]

        assert numbers(streak(recorded[-1], recorded, PLAIN)) == [7, 8, 9]
        assert numbers(streak(recorded[-1], recorded[2:], PLAIN)) == [8, 9]

    def test_counts_no_run_whose_last_attempt_was_blocked(self) -> None:
        first, last = rerun(8)
        blocked = last.model_copy(update={"status": Status.BLOCKED, "cause": Cause.INTERRUPTED})

        assert numbers(streak(run(9), [run(7), first, blocked], PLAIN)) == [7, 9]

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": Status.BLOCKED, "cause": Cause.PARITY},
            {"status": Status.BLOCKED, "cause": Cause.SANDBOX_FAILED, "clean": None, "fingerprint": None},
            {"fingerprint": fingerprint(cpus=2.0)},
            {"fingerprint": fingerprint("another host class")},
            {"fingerprint": fingerprint(cpus=2.0), "status": Status.REGRESSION, "cause": Cause.METRIC_REGRESSION},
        ],
    )
    def test_passes_over_blocked_runs_and_other_environments(self, changes: dict[str, Any]) -> None:
        assert numbers(streak(run(9), [run(6), run(7), run(8, **changes)], PLAIN)) == [6, 7, 9]

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"status": Status.REGRESSION, "cause": Cause.METRIC_REGRESSION}, "was regression (metric_regression)"),
            ({"status": Status.REGRESSION, "cause": Cause.VERIFIER_SAID_NO}, "was regression (verifier_said_no)"),
            ({"cause": Cause.ACKNOWLEDGED}, "was pass (acknowledged)"),
            ({"clean": False}, "was not made from a clean commit"),
            ({"clean": None}, "was not made from a clean commit"),
            ({"fingerprint": another_subject()}, "had another subject"),
        ],
    )
    def test_is_ended_by(self, changes: dict[str, Any], said: str) -> None:
        found = streak(run(9), [run(6), run(7, **changes), run(8)], PLAIN)

        assert numbers(found) == [8, 9]
        assert said in found.broken_by
        assert str(UUID(int=7)) in found.broken_by

    def test_takes_provisional_runs(self) -> None:
        recorded = [run(7, status=Status.PROVISIONAL), run(8)]

        assert reasons(run(9, status=Status.PROVISIONAL), recorded) == []

    def test_takes_acknowledged_regressions_where_that_is_asked_for(self) -> None:
        recorded = [run(7, cause=Cause.ACKNOWLEDGED), run(8)]

        assert reasons(run(9, cause=Cause.ACKNOWLEDGED), recorded, Wanted(accept_regression=True)) == []

    def test_of_a_stochastic_scenario_goes_on_until_there_are_trials_enough(self) -> None:
        recorded = [run(number, trials=(trial(1), trial(2))) for number in range(9)]
        wanted = Wanted(stochastic=True)

        found = streak(run(9, trials=(trial(1),)), recorded, wanted)

        assert numbers(found) == [4, 5, 6, 7, 8, 9]
        assert found.trials == 11 >= POOLED_TRIALS
        assert refusals(run(9), found, wanted) == []

    def test_counts_no_trial_that_was_repeated(self) -> None:
        again = trial(1).model_copy(update={"repeated": True})

        assert streak(run(9, trials=(again, trial(1))), [], PLAIN).trials == 1


KINDS: dict[str, Callable[[int], BenchmarkRun]] = {
    "pass": run,
    "provisional": lambda number: run(number, status=Status.PROVISIONAL),
    "blocked": lambda number: run(number, status=Status.BLOCKED, cause=Cause.PARITY),
    "worse": lambda number: run(number, status=Status.REGRESSION, cause=Cause.METRIC_REGRESSION),
    "unclean": lambda number: run(number, clean=False),
    "elsewhere": lambda number: run(number, fingerprint=fingerprint("h2")),
    "other subject": lambda number: run(number, fingerprint=another_subject()),
}


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_whatever_was_recorded_the_streak_is_what_the_rules_say(kinds: list[str], random: Any) -> None:
    """Told in another way: the letters of the runs before it, newest first."""
    recorded = [KINDS[kind](number) for number, kind in enumerate(kinds, 1)]
    random.shuffle(recorded)
    expected = [100]
    for number, kind in sorted(enumerate(kinds, 1), reverse=True):
        if kind in ("worse", "unclean", "other subject") or len(expected) == PASSING_RUNS:
            break
        if kind in ("pass", "provisional"):
            expected.insert(0, number)

    found = streak(run(100), recorded, PLAIN)

    assert numbers(found) == expected
    assert (reasons(run(100), recorded) == []) == (len(expected) == PASSING_RUNS)


class TestRefusals:
    def test_there_are_none_after_three_passing_runs(self) -> None:
        assert reasons(run(9), [run(7), run(8)]) == []

    def test_are_all_told_at_once(self) -> None:
        one = run(
            9,
            status=Status.REGRESSION,
            cause=Cause.METRIC_REGRESSION,
            clean=False,
            fingerprint=None,
            metrics={"runtime_ms": summary(None)},
        )

        told = "\n".join(reasons(one, [run(8)]))

        assert "the run is a regression (metric_regression); acknowledge it with `specbench ack`" in told
        assert "the run has no fingerprint" in told
        assert "was not made from a clean commit" in told
        assert "3 consecutive passing runs" in told
        assert "0 are recorded" in told

    def test_say_how_many_runs_there_are_and_why_no_more(self) -> None:
        (told,) = reasons(run(9), [])

        assert "3 consecutive passing runs with the same instrument, subject and host class are needed" in told
        assert "1 is recorded: no earlier run of this scenario in this environment is recorded" in told

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"cause": Cause.ACKNOWLEDGED}, "say so with --accept-regression and --reason"),
            (
                {"status": Status.BLOCKED, "cause": Cause.PARITY},
                "the run is blocked (parity); expected provisional or pass",
            ),
            ({"clean": None}, "not made from a clean commit"),
        ],
    )
    def test_name_what_is_wrong_with_the_run(self, changes: dict[str, Any], said: str) -> None:
        assert any(said in reason for reason in reasons(run(9, **changes), [run(7), run(8)]))

    def test_name_a_tracked_metric_that_any_of_the_runs_lacks(self) -> None:
        recorded = [run(7, metrics={"runtime_ms": summary(None)}), run(8, metrics={})]

        assert reasons(run(9), recorded) == [
            f"the tracked metric runtime_ms was not measured in run {UUID(int=number)}" for number in (7, 8)
        ]

    def test_a_stochastic_scenario_needs_many_trials(self) -> None:
        told = reasons(run(9), [run(7), run(8)], Wanted(stochastic=True))

        assert len(told) == 1
        assert f"at least {POOLED_TRIALS} trials, and the streak has 3" in told[0]


@pytest.mark.parametrize("status", Status)
def test_only_passing_and_provisional_runs_pass(status: Status) -> None:
    assert passes(run(status=status), PLAIN) == (status in (Status.PASS, Status.PROVISIONAL))
    assert not passes(run(status=status, cause=Cause.ACKNOWLEDGED), PLAIN)


class TestPooledValues:
    def test_are_those_of_all_trials_oldest_first(self) -> None:
        runs = [run(1, metrics={"runtime_ms": summary_of("runtime_ms", (3.0, 1.0))}), run(2)]

        assert pooled_values(runs, "runtime_ms") == (3.0, 1.0, 100.0)

    @pytest.mark.parametrize("metrics", [{}, {"runtime_ms": summary(None)}])
    def test_are_unknown_when_any_is(self, metrics: dict[str, Any]) -> None:
        assert pooled_values([run(1, metrics=metrics), run(2)], "runtime_ms") is None
        assert pooled_values([], "runtime_ms") is None
