"""The baseline record: what a maintainer approved, for which instrument and host class. Immutable once written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from pytest_specbench.core.approval.eligibility import pooled_values
from pytest_specbench.core.metrics import METRICS, MetricSummary, summary_of
from pytest_specbench.core.model import Record
from pytest_specbench.core.records import BenchmarkRun, Fingerprint
from pytest_specbench.core.status import Status

PORTABLE = "portable"
"""Host class of a baseline that holds host-independent metrics only: it fits every host, where that is asked for."""

SMALLEST, LARGEST = 1e-12, 1e18
"""What a metric that is not 0 can be, in its unit, whatever its sign: a percentage of it is still a number."""


class BundledFile(Record):
    """One file of the artifact bundle: kept beside the record, or named where it lies since it is large."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash of its bytes."""
    size: int = Field(ge=0)
    """Bytes."""
    uri: str | None = None
    """Where it lies; null: in the bundle, under its name."""


class BaselineRecord(Record):
    """Approved metrics of a scenario, and what they rest on. Whether it is active is derived, never written in it."""

    schema_version: Literal["1"] = "1"
    """Version of this record's form."""
    baseline_id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,150}$")
    """Scenario and version, for example `specify-2026-11-22-1f3c9a2e`."""
    scenario_id: str
    """The scenario that it is for."""
    approved_on: date
    """Day of the approval, UTC."""
    approved_by: str
    """Who approved: the principal of the signature, or the e-mail address that git knows."""
    rotation: str
    """The maintainers' rotation that they acted for."""
    runner_image: str | None
    """Digest of the runner image; null where the sandbox has none."""
    dataset_version: str
    """`NAME==VERSION` of the dataset."""
    metrics: dict[str, MetricSummary]
    """Approved metrics with the values of all trials of all runs; portable: host-independent ones only."""
    metrics_tracked: tuple[str, ...] = ()
    """The metrics that the gate looked at."""
    fingerprint: Fingerprint
    """Instrument, subject and host of the runs it rests on."""
    run_ids: tuple[UUID, ...]
    """The runs it rests on, oldest first; the last is the one that was approved."""
    commit_sha: str | None = None
    """Commit that the last of them was made from."""
    artifact_hashes: dict[str, str] = Field(default_factory=dict)
    """sha256 of the artifacts of the last of these runs."""
    artifact_snapshot: str | None = None
    """Folder of the artifact bundle, relative to the baseline folder; null where none was kept."""
    bundle: dict[str, BundledFile] = Field(default_factory=dict)
    """What the bundle is made of, by name."""
    notes: str = ""
    """Why it was approved."""
    supersedes_baseline_id: str | None = None
    """The baseline that it replaces; null for a first one."""
    expires_on: date | None = None
    """First day on which it no longer counts; null: never."""
    recorded_at: AwareDatetime
    """When the record was written, UTC."""

    @model_validator(mode="after")
    def _metrics_follow_from_their_values(self) -> BaselineRecord:
        for name, summary in self.metrics.items():
            if name not in METRICS:
                raise ValueError(f"no metric is called {name!r}")
            known = tuple(value for value in summary.values if value is not None)
            if not known or len(known) != len(summary.values):
                raise ValueError(f"{name} lacks a value of every trial")
            if any(isinstance(value, bool) != (name == "success") or not _possible(value) for value in known):
                raise ValueError(f"{name} has values that it cannot have")
            if summary != summary_of(name, known):
                raise ValueError(f"{name} is not what follows from the values of its trials")
        return self

    @model_validator(mode="after")
    def _portable_holds_no_hosts_metric(self) -> BaselineRecord:
        if self.host_class == PORTABLE and any(METRICS[name].depends_on_host for name in self.metrics):
            raise ValueError("a portable baseline holds host-independent metrics only")
        return self

    @property
    def host_class(self) -> str:
        """The host class it holds for, or `portable`."""
        return str(self.fingerprint.host.get("class"))


def _possible(value: float) -> bool:
    return value == 0 or SMALLEST <= abs(value) <= LARGEST


@dataclass(frozen=True)
class Approval:
    """Who approves what for, and when."""

    by: str
    """Who."""
    rotation: str
    """The rotation that they act for."""
    notes: str
    """Why."""
    at: datetime
    """When, UTC."""
    portable: bool = False
    """Hold host-independent metrics only, for every host class."""
    again: int = 0
    """How often the run was approved before, by approvals that do not count any more."""
    supersedes: str | None = None
    """The active baseline for the same instrument and host class."""
    expires_on: date | None = None
    """First day on which it does not count any more."""


def host_class_of(run: BenchmarkRun, *, portable: bool) -> str:
    """The host class that a baseline made from `run` holds for."""
    return PORTABLE if portable or run.fingerprint is None else str(run.fingerprint.host.get("class"))


def propose(runs: Sequence[BenchmarkRun], approval: Approval, bundle: Mapping[str, BundledFile]) -> BaselineRecord:
    """The record that an approval of the last of `runs`, which rests on all of them, would write.

    Raises ValueError when one of them is no success, or has no fingerprint.
    """
    last = runs[-1]
    for run in runs:
        if run.status not in (Status.PASS, Status.PROVISIONAL):
            raise ValueError(f"a run that is {run.status} ({run.cause}) cannot become a baseline")
    if last.fingerprint is None:
        raise ValueError("a run without a fingerprint cannot become a baseline")
    pooled = {
        name: pooled_values(runs, name)
        for name, kind in METRICS.items()
        if not (approval.portable and kind.depends_on_host)
    }
    baseline_id = f"{last.scenario_id}-{approval.at:%Y-%m-%d}-{last.run_id.hex[:8]}"
    if approval.again:
        baseline_id += f"-{approval.again + 1}"
    return BaselineRecord(
        baseline_id=baseline_id,
        scenario_id=last.scenario_id,
        approved_on=approval.at.date(),
        approved_by=approval.by,
        rotation=approval.rotation,
        runner_image=last.runner_image,
        dataset_version=last.dataset_version,
        metrics={name: summary_of(name, values) for name, values in pooled.items() if values is not None},
        metrics_tracked=last.metrics_tracked,
        fingerprint=last.fingerprint.model_copy(
            update={"host": {"class": PORTABLE} if approval.portable else last.fingerprint.host}
        ),
        run_ids=tuple(run.run_id for run in runs),
        commit_sha=last.commit_sha,
        artifact_hashes=last.artifact_hashes,
        artifact_snapshot=f"{last.scenario_id}/{baseline_id}",
        bundle=dict(bundle),
        notes=approval.notes,
        supersedes_baseline_id=approval.supersedes,
        expires_on=approval.expires_on,
        recorded_at=approval.at,
    )
