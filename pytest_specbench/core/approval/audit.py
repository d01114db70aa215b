"""The audit trail: entries that name their parents' hashes, and what follows from them. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from pytest_specbench.core.model import Record
from pytest_specbench.core.records import Fingerprint, Number, Scalar
from pytest_specbench.core.status import Cause
from pytest_specbench.core.transitions import (
    BaselineEvent,
    BaselineStatus,
    IllegalTransitionError,
    baseline_after,
)

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,150}$")]
"""What names a file or folder: nothing that leads somewhere else."""


class Action(StrEnum):
    """What a maintainer did."""

    APPROVE = "approve"
    RETIRE = "retire"
    ACKNOWLEDGE = "acknowledge"
    WITHDRAW = "withdraw"


class Acknowledged(Record):
    """A known regression: what is accepted of it, and until when."""

    until: date
    """First day on which it does not hold any more, UTC."""
    cause: Cause
    """What the run failed for."""
    metrics: dict[str, Number] = Field(default_factory=dict)
    """Tracked metrics that were worse, with the values measured: what is worse than these is not acknowledged."""
    checks: tuple[str, ...] = ()
    """Names of the checks that failed: another one is not acknowledged."""
    problems: int = Field(default=0, ge=0)
    """Most problems that the checks of one trial told: more are not acknowledged."""
    unmeasured: tuple[str, ...] = ()
    """Tracked metrics that could not be measured: another one is not acknowledged."""
    failed_share: float = Field(ge=0, le=1)
    """Share of the trials that failed: more are not acknowledged."""


class AuditEntry(Record):
    """What was done, by whom, when and why. Immutable; the file is named after its time and the hash of its bytes."""

    schema_version: Literal["1"] = "1"
    """Version of this record's form."""
    action: Action
    """approve, retire, acknowledge, or withdraw what was acknowledged."""
    at: AwareDatetime
    """When, UTC."""
    by: str
    """Who: the principal of a signature, or the e-mail address that git knows."""
    rotation: str
    """The maintainers' rotation that they acted for."""
    verified: bool
    """Whether a signature proves who it was; false: it is git's word."""
    scenario_id: FileName
    """The scenario."""
    key: Sha256
    """Hash over instrument and host class: what is comparable has the same one."""
    baseline_id: FileName | None = None
    """The record that was approved or retired; null for the other actions."""
    record_sha256: Sha256 | None = None
    """Hash of the approved record's file."""
    bundle: dict[str, Sha256] = Field(default_factory=dict)
    """Hashes of the files of its artifact bundle, by name."""
    run_id: UUID | None = None
    """The run that was approved or acknowledged, or whose acknowledgement is withdrawn; null for a retirement."""
    reason: str = ""
    """Why."""
    acknowledged: Acknowledged | None = None
    """What was acknowledged; null for the other actions."""
    parents: tuple[Sha256, ...] = ()
    """Hashes of the files of the newest entries that were there; none for a first one."""

    @model_validator(mode="after")
    def _says_what_it_is_about(self) -> AuditEntry:
        approve, acknowledge = self.action is Action.APPROVE, self.action is Action.ACKNOWLEDGE
        if (self.baseline_id is not None) != (self.action in (Action.APPROVE, Action.RETIRE)):
            raise ValueError("an approval and a retirement, and nothing else, name a baseline")
        if (self.record_sha256 is not None) != approve:
            raise ValueError("an approval, and nothing else, has the hash of a record")
        if (self.acknowledged is not None) != acknowledge:
            raise ValueError("an acknowledgement, and nothing else, says what is acknowledged")
        if (self.run_id is None) != (self.action is Action.RETIRE):
            raise ValueError("a retirement names no run, and everything else does")
        return self


def entry_bytes(entry: AuditEntry) -> bytes:
    """The file of an entry, byte for byte; this is what is hashed and signed."""
    return (entry.model_dump_json(indent=2) + "\n").encode()


def entry_name(entry: AuditEntry, digest: str) -> str:
    """The name of an entry's file: its time, then the beginning of the hash of its bytes."""
    return f"{entry.at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{digest[:16]}.json"


def sha256(data: bytes) -> str:
    """sha256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def comparison_key(found: Fingerprint, host_class: str) -> str:
    """Hash over instrument and host class: what has the same one may be compared, and only one baseline is active."""
    text = json.dumps([found.instrument, host_class], sort_keys=True, ensure_ascii=False)
    return sha256(text.encode("utf-8", "surrogatepass"))


def line_of(found: Fingerprint, host_class: str) -> tuple[Scalar, ...]:
    """Dataset, sandbox with its platform, agent, approval mode, model (null where it is under test) and host class: of
    what has the same ones, whatever else of the instrument changed between them, only the newest approval counts. An
    older scenario, verifier or lock that comes back finds its baseline retired.
    """
    names = ("dataset", "sandbox", "platform", "agent", "approval_mode", "model")
    return (*(found.instrument.get(name) for name in names), host_class)


@dataclass(frozen=True)
class Filed:
    """An entry as it was found."""

    name: str
    """Its file's name."""
    sha256: str
    """Hash of the file's bytes."""
    entry: AuditEntry


@dataclass(frozen=True)
class Problem:
    """Something about one entry that must not be."""

    name: str
    """The entry's file, or what names a missing one."""
    what: str


@dataclass
class BaselineHistory:
    """What became of one baseline record."""

    approval: Filed
    status: BaselineStatus
    retired_by: Filed | None = None
    """The entry that retired it: a retirement, or the approval of a newer one."""


@dataclass(frozen=True)
class Trail:
    """All entries, parents first and by time, and what follows from them. Made by `follow`."""

    entries: Sequence[Filed] = ()
    problems: Sequence[Problem] = ()
    baselines: Mapping[str, BaselineHistory] = field(default_factory=dict)
    """By baseline id."""

    @property
    def heads(self) -> tuple[str, ...]:
        """Hashes of the entries that no other names as its parent: the next entry's parents."""
        named = {parent for filed in self.entries for parent in filed.entry.parents}
        return tuple(sorted(filed.sha256 for filed in self.entries if filed.sha256 not in named))

    def acknowledgements(self, scenario_id: str, keys: Collection[str], today: date) -> list[Filed]:
        """Acknowledgements that hold today for what is comparable, newest first. `keys`: of the run's own host class,
        and of every host class. A withdrawal ends those before it, and so does the approval of a newer baseline.
        """
        found: list[Filed] = []
        for filed in reversed(self.entries):
            entry = filed.entry
            if entry.scenario_id != scenario_id or entry.key not in keys:
                continue
            if entry.action in (Action.APPROVE, Action.WITHDRAW):
                break
            if entry.acknowledged is not None and today < entry.acknowledged.until:
                found.append(filed)
        return found


def follow(found: Sequence[Filed]) -> Trail:
    """Order the entries and derive what they say. What does not fit together is told as problems, never raised: an
    edit, a removal and a reordering all show up here. That the newest entries were removed cannot be seen in the rest.
    """
    by_hash = {filed.sha256: filed for filed in found}
    problems = [
        Problem(filed.name, "it was altered: its name does not fit its content")
        for filed in found
        if filed.name != entry_name(filed.entry, filed.sha256)
    ]
    for filed in found:
        for parent in filed.entry.parents:
            if parent not in by_hash:
                problems.append(Problem(filed.name, f"its parent {parent[:16]} is missing: an entry was removed"))
            elif by_hash[parent].entry.at > filed.entry.at:
                problems.append(Problem(filed.name, f"it is older than its parent {by_hash[parent].name}"))
    ordered = _in_order(found, by_hash)
    return Trail(ordered, problems, _histories(ordered, problems))


def _in_order(found: Sequence[Filed], by_hash: Mapping[str, Filed]) -> list[Filed]:
    """Parents first; among those that may come next, the oldest first. Nothing can name the hash of what comes later,
    so that there are no circles.
    """
    sorter = TopologicalSorter(
        {filed.sha256: [parent for parent in filed.entry.parents if parent in by_hash] for filed in found}
    )
    sorter.prepare()
    ordered: list[Filed] = []
    ready: list[tuple[datetime, str]] = []
    while sorter.is_active():
        for digest in sorter.get_ready():
            heappush(ready, (by_hash[digest].entry.at, digest))
        _, following = heappop(ready)
        ordered.append(by_hash[following])
        sorter.done(following)
    return ordered


def _histories(ordered: Sequence[Filed], problems: list[Problem]) -> dict[str, BaselineHistory]:
    histories: dict[str, BaselineHistory] = {}
    newest: dict[tuple[str, str], BaselineHistory] = {}  # of each scenario and key: no other one can be active
    for filed in ordered:
        entry = filed.entry
        if entry.baseline_id is None:
            continue
        if entry.action is Action.APPROVE:
            if entry.baseline_id in histories:
                problems.append(Problem(filed.name, f"it approves {entry.baseline_id} once more"))
                continue
            before = newest.get((entry.scenario_id, entry.key))
            if before is not None and before.status is BaselineStatus.ACTIVE:
                _end(before, BaselineEvent.SUPERSEDED, filed)
            status = baseline_after(BaselineStatus.PROVISIONAL, [BaselineEvent.APPROVED])
            histories[entry.baseline_id] = newest[entry.scenario_id, entry.key] = BaselineHistory(filed, status)
        elif entry.baseline_id not in histories:
            problems.append(Problem(filed.name, f"it retires {entry.baseline_id}, which nobody approved"))
        elif (entry.scenario_id, entry.key) != _about(histories[entry.baseline_id]):
            # Whether a signature is needed is looked up by these.
            problems.append(
                Problem(filed.name, f"it retires {entry.baseline_id} as if it were another scenario's or host's")
            )
        else:
            with suppress(IllegalTransitionError):  # retired on two branches: it stays what it is
                _end(histories[entry.baseline_id], BaselineEvent.RETIRED, filed)
    return histories


def supersede(trail: Trail, lines: Mapping[str, Hashable]) -> None:
    """Retire what the approval of a changed instrument took the place of. `lines` are those of the records, by id."""
    newest: dict[Hashable, BaselineHistory] = {}
    for filed in trail.entries:
        name = filed.entry.baseline_id
        if filed.entry.action is not Action.APPROVE or name is None or name not in lines:
            continue
        line, history = (filed.entry.scenario_id, lines[name]), trail.baselines[name]
        before = newest.get(line)
        if before is not None and before.status is BaselineStatus.ACTIVE:
            _end(before, BaselineEvent.SUPERSEDED, filed)
        newest[line] = history


def _about(history: BaselineHistory) -> tuple[str, str]:
    return history.approval.entry.scenario_id, history.approval.entry.key


def _end(history: BaselineHistory, event: BaselineEvent, by: Filed) -> None:
    history.status = baseline_after(history.status, [event])
    history.retired_by = by


def latest(entries: Sequence[Filed]) -> datetime | None:
    """Time of the newest entry; None where there is none. A new entry must not be older."""
    return max((filed.entry.at for filed in entries), default=None)
