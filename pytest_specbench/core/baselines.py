"""The baseline record: what a maintainer approved, for which instrument and host class. Immutable once written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from pytest_specbench.core.metrics import METRICS, MetricSummary, summary_of
from pytest_specbench.core.model import Record
from pytest_specbench.core.records import BenchmarkRun, Fingerprint
from pytest_specbench.core.status import Status

PORTABLE = "portable"
"""Host class of a baseline that holds host-independent metrics only: it fits every host, where that is asked for."""

SMALLEST, LARGEST = 1e-12, 1e18
"""What a metric that is not 0 can be, in its unit, whatever its sign: a percentage of it is still a number."""


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
    """Who approved, in which rotation."""
    runner_image: str | None
    """Digest of the runner image; null where the sandbox has none."""
    dataset_version: str
    """`NAME==VERSION` of the dataset."""
    metrics: dict[str, MetricSummary]
    """Approved metrics with every trial's values. A portable baseline holds host-independent ones only."""
    fingerprint: Fingerprint
    """Instrument, subject and host of the runs it rests on."""
    run_ids: tuple[UUID, ...]
    """The runs it rests on, oldest first."""
    artifact_hashes: dict[str, str] = Field(default_factory=dict)
    """sha256 of the artifacts of the last of these runs."""
    artifact_snapshot: str | None = None
    """Folder of the artifact bundle, relative to the baseline folder; null where none was kept."""
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
    notes: str
    at: datetime
    portable: bool = False
    """Hold host-independent metrics only, for every host class."""
    supersedes: str | None = None


def propose(run: BenchmarkRun, approval: Approval) -> BaselineRecord:
    """The record that an approval of `run` would write. Raises ValueError for a run that cannot be a baseline."""
    if run.status not in (Status.PASS, Status.PROVISIONAL) or run.fingerprint is None:
        raise ValueError(f"a run that is {run.status} ({run.cause}) cannot become a baseline")
    host = {"class": PORTABLE} if approval.portable else run.fingerprint.host
    known = {name: summary for name, summary in run.metrics.items() if summary.value is not None}
    if approval.portable:
        known = {name: summary for name, summary in known.items() if not METRICS[name].depends_on_host}
    return BaselineRecord(
        baseline_id=f"{run.scenario_id}-{approval.at:%Y-%m-%d}-{run.run_id.hex[:8]}",
        scenario_id=run.scenario_id,
        approved_on=approval.at.date(),
        approved_by=approval.by,
        runner_image=run.runner_image,
        dataset_version=run.dataset_version,
        metrics=known,
        fingerprint=run.fingerprint.model_copy(update={"host": host}),
        run_ids=(run.run_id,),
        artifact_hashes=run.artifact_hashes,
        notes=approval.notes,
        supersedes_baseline_id=approval.supersedes,
        recorded_at=approval.at,
    )
