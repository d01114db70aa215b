"""The state machines: what the tables hold is possible, and whatever they do not hold is an error."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pytest_specbench.core.status import Status
from pytest_specbench.core.transitions import (
    BASELINE_TRANSITIONS,
    RUN_TRANSITIONS,
    BaselineEvent,
    BaselineStatus,
    IllegalTransitionError,
    RunEvent,
    baseline_after,
    run_after,
)

RUNS = {
    # status: what each event makes of it; what is not here is illegal
    Status.PROVISIONAL: {
        RunEvent.COMPARED: Status.PASS,
        RunEvent.BLOCKED: Status.BLOCKED,
        RunEvent.FAILED: Status.REGRESSION,
        RunEvent.APPROVED: Status.PASS,
    },
    Status.PASS: {RunEvent.BLOCKED: Status.BLOCKED, RunEvent.WORSE: Status.REGRESSION, RunEvent.APPROVED: Status.PASS},
    Status.REGRESSION: {RunEvent.ACKNOWLEDGED: Status.PASS, RunEvent.APPROVED: Status.PASS},
    Status.BLOCKED: {},
}

BASELINES = {
    BaselineStatus.PROVISIONAL: {BaselineEvent.APPROVED: BaselineStatus.ACTIVE},
    BaselineStatus.ACTIVE: {
        BaselineEvent.SUPERSEDED: BaselineStatus.RETIRED,
        BaselineEvent.RETIRED: BaselineStatus.RETIRED,
    },
    BaselineStatus.RETIRED: {},
}


@pytest.mark.parametrize(("status", "event"), list(product(Status, RunEvent)))
def test_every_event_of_a_run_in_every_status(status: Status, event: RunEvent) -> None:
    if event in RUNS[status]:
        assert run_after(status, [event]) is RUNS[status][event]
    else:
        with pytest.raises(IllegalTransitionError, match=f"that is {status} cannot be {event}"):
            run_after(status, [event])


@pytest.mark.parametrize(("status", "event"), list(product(BaselineStatus, BaselineEvent)))
def test_every_event_of_a_baseline_in_every_status(status: BaselineStatus, event: BaselineEvent) -> None:
    if event in BASELINES[status]:
        assert baseline_after(status, [event]) is BASELINES[status][event]
    else:
        with pytest.raises(IllegalTransitionError, match=f"that is {status} cannot be {event}"):
            baseline_after(status, [event])


def test_the_tables_hold_nothing_else() -> None:
    assert len(RUN_TRANSITIONS) == sum(map(len, RUNS.values()))
    assert len(BASELINE_TRANSITIONS) == sum(map(len, BASELINES.values()))


def test_the_transitions_of_the_data_model() -> None:
    assert run_after(Status.PROVISIONAL, [RunEvent.COMPARED]) is Status.PASS
    assert run_after(Status.PROVISIONAL, [RunEvent.BLOCKED]) is Status.BLOCKED
    assert run_after(Status.PROVISIONAL, [RunEvent.COMPARED, RunEvent.WORSE]) is Status.REGRESSION
    assert run_after(Status.REGRESSION, [RunEvent.ACKNOWLEDGED, RunEvent.APPROVED]) is Status.PASS
    assert baseline_after(BaselineStatus.PROVISIONAL, [BaselineEvent.APPROVED]) is BaselineStatus.ACTIVE
    assert baseline_after(BaselineStatus.ACTIVE, [BaselineEvent.SUPERSEDED]) is BaselineStatus.RETIRED


def test_without_events_nothing_changes() -> None:
    assert [run_after(status, []) for status in Status] == list(Status)
    assert [baseline_after(status, []) for status in BaselineStatus] == list(BaselineStatus)


@given(st.sampled_from(Status), st.lists(st.sampled_from(RunEvent), max_size=6), st.integers(0, 6))
def test_events_can_be_told_in_parts(status: Status, events: list[RunEvent], cut: int) -> None:
    try:
        whole = run_after(status, events)
    except IllegalTransitionError:
        with pytest.raises(IllegalTransitionError):
            run_after(run_after(status, events[:cut]), events[cut:])
    else:
        assert run_after(run_after(status, events[:cut]), events[cut:]) is whole


class RunMachine(RuleBasedStateMachine):
    """Events happen to a run in any order; the illegal ones change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.status = Status.PROVISIONAL
        self.events: list[RunEvent] = []

    @rule(event=st.sampled_from(RunEvent))
    def happens(self, event: RunEvent) -> None:
        if event in RUNS[self.status]:
            self.status = run_after(self.status, [event])
            self.events.append(event)
        else:
            with pytest.raises(IllegalTransitionError):
                run_after(self.status, [event])

    @rule()
    @precondition(lambda self: self.status is Status.BLOCKED)
    def a_blocked_run_stays_so(self) -> None:
        for event in RunEvent:
            with pytest.raises(IllegalTransitionError):
                run_after(self.status, [event])

    @invariant()
    def follows_from_all_events(self) -> None:
        assert run_after(Status.PROVISIONAL, self.events) is self.status

    @invariant()
    def is_green_again_only_by_a_maintainer(self) -> None:
        if self.status is Status.PASS and {RunEvent.FAILED, RunEvent.WORSE} & set(self.events):
            assert {RunEvent.ACKNOWLEDGED, RunEvent.APPROVED} & set(self.events)

    @invariant()
    def is_blocked_only_by_being_blocked(self) -> None:
        assert (self.status is Status.BLOCKED) == (RunEvent.BLOCKED in self.events)


class BaselineMachine(RuleBasedStateMachine):
    """Events happen to a baseline in any order; the illegal ones change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.status = BaselineStatus.PROVISIONAL
        self.events: list[BaselineEvent] = []

    @rule(event=st.sampled_from(BaselineEvent))
    def happens(self, event: BaselineEvent) -> None:
        if event in BASELINES[self.status]:
            self.status = baseline_after(self.status, [event])
            self.events.append(event)
        else:
            with pytest.raises(IllegalTransitionError):
                baseline_after(self.status, [event])

    @invariant()
    def is_active_only_by_one_approval(self) -> None:
        assert self.events.count(BaselineEvent.APPROVED) <= 1
        assert (self.status is BaselineStatus.ACTIVE) == (self.events == [BaselineEvent.APPROVED])

    @invariant()
    def never_comes_back(self) -> None:
        assert (self.status is BaselineStatus.RETIRED) == (len(self.events) == 2)


TestRunMachine = RunMachine.TestCase
TestRunMachine.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)
TestBaselineMachine = BaselineMachine.TestCase
TestBaselineMachine.settings = settings(max_examples=30, stateful_step_count=8, deadline=None)
