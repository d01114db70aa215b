"""Which baseline a run may be compared with: the rules of the fingerprint, in their order. Pure, and fail closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from pytest_specbench.core.approval.baselines import PORTABLE, BaselineRecord
from pytest_specbench.core.fingerprint import Difference, diff_lines, differences, locked_part
from pytest_specbench.core.records import Fingerprint, Scalar
from pytest_specbench.core.status import Cause

type RequireBaseline = Literal["never", "known", "always"]
type HostParity = Literal["block", "portable"]


@dataclass(frozen=True)
class Policy:
    """What an invocation decides about comparing."""

    require_baseline: RequireBaseline = "known"
    host_parity: HostParity = "block"


@dataclass(frozen=True)
class Match:
    """What the rules found. With `cause` the run is blocked or not green; else it is compared with `baseline`, or
    provisional where there is none.
    """

    baseline: BaselineRecord | None = None
    same_host: bool = True
    cause: Cause | None = None
    notes: str = ""
    diff: tuple[str, ...] = ()
    """Lines of a readable diff."""


def drift(locked: Mapping[str, Scalar], observed: Fingerprint) -> tuple[Difference, ...]:
    """Rule 1: what the lock pins and this run does not have. A locked fact that is under test now is no drift."""
    return differences(
        {name: value for name, value in locked.items() if name not in observed.subject}, locked_part(observed)
    )


def match(
    observed: Fingerprint, active: Sequence[BaselineRecord], *, ever_active: bool, policy: Policy, today: date
) -> Match:
    """Rules 2 to 4: the baseline of this instrument and host, or why there is none.

    `active` are the active baselines of the scenario, `ever_active` tells whether it has ever had one.
    """
    if observed.host.get("class") == PORTABLE:
        return Match(
            cause=Cause.PARITY,
            notes=f"no host is of the class {PORTABLE!r}, which is reserved for baselines that fit every host; declare "
            "another one with specbench_host_class, or ask for --specbench-host-parity=portable",
        )
    same = [record for record in active if record.fingerprint.instrument == observed.instrument]
    if not same:
        return _without_baseline(observed, active, ever_active=ever_active, policy=policy)
    host = observed.host.get("class")
    fitting = [record for record in same if record.host_class == host]
    portable = [record for record in same if record.host_class == PORTABLE] or same
    chosen = _newest(fitting or portable)
    if chosen.expires_on is not None and today >= chosen.expires_on:
        return Match(
            cause=Cause.BASELINE_INVALID,
            notes=f"the baseline {chosen.baseline_id} expired on {chosen.expires_on}; approve a newer run",
        )
    if fitting:
        return Match(baseline=chosen)
    if policy.host_parity == "portable":
        return Match(
            baseline=chosen,
            same_host=False,
            notes="what depends on the host was not compared: "
            + (
                f"the baseline {chosen.baseline_id} is portable"
                if chosen.host_class == PORTABLE
                else f"the baseline {chosen.baseline_id} is for the host class {chosen.host_class!r}, this is {host!r}"
            ),
        )
    return Match(
        cause=Cause.PARITY,
        notes=f"the baseline {chosen.baseline_id} is for the host class {chosen.host_class!r}, this is {host!r}; "
        "declare the class with specbench_host_class, or compare what does not depend on the host "
        "with --specbench-host-parity=portable",
        diff=tuple(
            diff_lines(
                differences(chosen.fingerprint.host, observed.host), expected=chosen.baseline_id, observed="this run"
            )
        ),
    )


def _without_baseline(
    observed: Fingerprint, active: Sequence[BaselineRecord], *, ever_active: bool, policy: Policy
) -> Match:
    """No baseline has this instrument: provisional, and not green where an approval is owed."""
    diff: tuple[str, ...] = ()
    notes = "there is no approved baseline of this scenario"
    if active:
        nearest = min(active, key=lambda record: _distance(record, observed))
        found = differences(nearest.fingerprint.instrument, observed.instrument)
        diff = tuple(diff_lines(found, expected=nearest.baseline_id, observed="this run"))
        names = ", ".join(item.name for item in found)
        notes = f"no baseline has this instrument; the nearest, {nearest.baseline_id}, differs in {names}"
    elif ever_active:
        notes = "the baselines of this scenario are all retired"
    owed = policy.require_baseline == "always" or (policy.require_baseline == "known" and ever_active)
    if owed:
        return Match(cause=Cause.APPROVAL_NEEDED, notes=f"approval needed: {notes}", diff=diff)
    return Match(notes=notes, diff=diff)


def _distance(record: BaselineRecord, observed: Fingerprint) -> tuple[int, float]:
    """Fewest differing facts first, then the newest."""
    found = differences(record.fingerprint.instrument, observed.instrument)
    return len(found), -record.recorded_at.timestamp()


def _newest(records: Sequence[BaselineRecord]) -> BaselineRecord:
    return max(records, key=lambda record: record.recorded_at)
