"""The two small files of a trial that tools read first: what it was, and how it ended."""

from __future__ import annotations

import platform
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from pytest_specbench.core.metrics import METRICS, Measurement
from pytest_specbench.core.model import Record
from pytest_specbench.core.records import Fingerprint, ImageIdentity, Scalar
from pytest_specbench.core.status import Cause, Outcome


class TrialMetadata(Record):
    """`run_metadata.json` of a trial: everything that it takes to know what ran. Unknown is null."""

    schema_version: Literal["1"] = "1"
    """Version of this record's form."""
    timestamp_utc: AwareDatetime
    """Start of the trial, UTC."""
    run_id: str
    """UUID of the invocation."""
    trial_index: int = Field(ge=1)
    """Number of the trial, from 1."""
    commit_sha: str | None
    """Commit of the repository that holds the scenario; null outside of a repository."""
    commit_dirty: bool | None = None
    """Whether the repository had changes; null when it is not known."""
    version: str
    """Version of this tool."""
    agent_name: str
    """Registered name or `module:Class`."""
    agent_version: str
    """Version that the agent states."""
    dataset_id: str
    """The dataset, `NAME==VERSION`."""
    task_id: str
    """The scenario's id."""
    model_provider: str | None = None
    """What stands before the slash of a LiteLLM model name, or `replay`; null where no model acts."""
    model_name: str | None = None
    """The model as it was asked for; null where no model acts."""
    approval_mode: str
    """Resolved approval mode: minimal, trusted or full-access."""
    approval_mode_source: str
    """Where it came from: command line, environment, repository configuration or default."""
    sandbox_backend: str
    """`docker`, `local` or a third party's name."""
    image: ImageIdentity | None = None
    """What the runner image really was; null where the backend has none."""
    limits: dict[str, Scalar] = Field(default_factory=dict)
    """The limits that were asked for: cpus, memory_mb, pids, network, deadlines."""
    limits_enforced: dict[str, bool] = Field(default_factory=dict)
    """For each kind of limit whether the sandbox really enforced it."""
    atif_schema_version: str
    """Version of the trajectory's format."""
    exit_status: int | None
    """Exit status of the agent; null when it never ended by itself, or has not yet."""
    fingerprint: Fingerprint | None = None
    """What must be equal for a comparison; null when the trial was blocked before it was known."""
    python: str = Field(default_factory=platform.python_version)
    """Version of the Python that ran this tool."""
    platform: str = Field(default_factory=platform.platform)
    """Operating system of the host."""
    extra: dict[str, Scalar] = Field(default_factory=dict)
    """What a backend or an agent adds."""


class TrialSummary(Record):
    """`summary.json` of a trial: how it ended, normalised."""

    schema_version: Literal["1"] = "1"
    """Version of this record's form."""
    scenario_id: str
    """The scenario."""
    trial_index: int = Field(ge=1)
    """Number of the trial, from 1."""
    status: Outcome
    """success, failure or infrastructure."""
    cause: Cause
    """Why."""
    reason: str
    """One sentence for a person."""
    started_at: datetime
    """Start, UTC."""
    duration_ms: float | None
    """Milliseconds of the whole trial; null when it did not end."""
    phases_ms: dict[str, float] = Field(default_factory=dict)
    """Milliseconds of each phase that ran."""
    usage: dict[str, Measurement] = Field(default_factory=dict)
    """`steps`, `input_tokens`, `output_tokens`, `cached_tokens`."""
    cost_usd: Measurement
    """Cost in USD, or why it is unknown."""
    model: str | None
    """The model; null where none acted."""
    approval_mode: str
    """Resolved approval mode."""
    metrics: dict[str, Measurement] = Field(default_factory=dict)
    """Every metric: name -> value, or null with the reason."""


def split_model(model: str | None) -> tuple[str | None, str | None]:
    """Provider and name of a model: `openai/gpt-x` -> (`openai`, `openai/gpt-x`); `replay:FILE` -> (`replay`, ...)."""
    if model is None:
        return None, None
    if model.startswith("replay:"):
        return "replay", model
    provider, slash, _ = model.partition("/")
    return (provider if slash else None), model


def usage_of(metrics: dict[str, Measurement]) -> dict[str, Measurement]:
    """The part of a trial's metrics that is usage; what is missing is null with a reason."""
    names = [name for name, kind in METRICS.items() if kind.unit in ("tokens", "steps")]
    return {name: metrics.get(name) or Measurement.unknown("not reported") for name in names}
