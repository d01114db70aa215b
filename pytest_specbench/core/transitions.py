"""The state machines of a benchmark run and of a baseline record. Whatever is not in the tables is an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from pytest_specbench.core.status import Status


class BaselineStatus(StrEnum):
    """Status of a baseline record. It is derived from the audit entries and never written into the record."""

    PROVISIONAL = "provisional"
    ACTIVE = "active"
    RETIRED = "retired"


class RunEvent(StrEnum):
    """What can happen to a benchmark run, which begins as provisional."""

    COMPARED = "compared"
    """It succeeded, and a baseline to compare with was there."""
    BLOCKED = "blocked"
    """Nothing may be judged: parity, infrastructure, or something unmeasured."""
    FAILED = "failed"
    """A functional failure, for which no baseline is needed."""
    WORSE = "worse"
    """A tracked metric is worse than its policy allows."""
    ACKNOWLEDGED = "acknowledged"
    """A maintainer acknowledged what got worse."""
    APPROVED = "approved"
    """A maintainer made it the baseline."""


class BaselineEvent(StrEnum):
    """What can happen to a baseline record, which begins as a provisional candidate."""

    APPROVED = "approved"
    """A maintainer approved it, after the passing runs that it takes."""
    SUPERSEDED = "superseded"
    """A newer one for the same instrument and host class was approved."""
    RETIRED = "retired"
    """A maintainer retired it, for example since its scenario is decommissioned."""


class IllegalTransitionError(ValueError):
    """An event that the state does not allow."""


RUN_TRANSITIONS: Mapping[tuple[Status, RunEvent], Status] = {
    (Status.PROVISIONAL, RunEvent.COMPARED): Status.PASS,
    (Status.PROVISIONAL, RunEvent.BLOCKED): Status.BLOCKED,
    (Status.PROVISIONAL, RunEvent.FAILED): Status.REGRESSION,
    (Status.PROVISIONAL, RunEvent.APPROVED): Status.PASS,
    (Status.PASS, RunEvent.BLOCKED): Status.BLOCKED,
    (Status.PASS, RunEvent.WORSE): Status.REGRESSION,
    (Status.PASS, RunEvent.APPROVED): Status.PASS,
    (Status.REGRESSION, RunEvent.ACKNOWLEDGED): Status.PASS,
    (Status.REGRESSION, RunEvent.APPROVED): Status.PASS,
}
"""A blocked run has no way out: it says nothing about the agent, and only another run can."""

BASELINE_TRANSITIONS: Mapping[tuple[BaselineStatus, BaselineEvent], BaselineStatus] = {
    (BaselineStatus.PROVISIONAL, BaselineEvent.APPROVED): BaselineStatus.ACTIVE,
    (BaselineStatus.ACTIVE, BaselineEvent.SUPERSEDED): BaselineStatus.RETIRED,
    (BaselineStatus.ACTIVE, BaselineEvent.RETIRED): BaselineStatus.RETIRED,
}
"""A retired record stays so."""


def run_after(status: Status, events: Iterable[RunEvent]) -> Status:
    """The status of a benchmark run after events, in their order. Raises IllegalTransitionError."""
    for event in events:
        if (status, event) not in RUN_TRANSITIONS:
            raise IllegalTransitionError(f"a benchmark run that is {status} cannot be {event}")
        status = RUN_TRANSITIONS[status, event]
    return status


def baseline_after(status: BaselineStatus, events: Iterable[BaselineEvent]) -> BaselineStatus:
    """The status of a baseline record after events, in their order. Raises IllegalTransitionError."""
    for event in events:
        if (status, event) not in BASELINE_TRANSITIONS:
            raise IllegalTransitionError(f"a baseline that is {status} cannot be {event}")
        status = BASELINE_TRANSITIONS[status, event]
    return status
