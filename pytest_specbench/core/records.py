"""The records that flow from trial to verdict to report, and that are persisted as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from pytest_specbench.core.metrics import Measurement, MetricSummary
from pytest_specbench.core.model import Record
from pytest_specbench.core.status import Cause, Outcome, Status

type LockState = Literal["none", "no entry", "equal", "drift"]

type Scalar = str | int | float | bool | None


class CheckResult(Record):
    """What one check of a verifier found."""

    name: str
    """Name of the check, for example `artifact specs/*/spec.md (spec-kit-spec)`."""
    passed: bool
    """True only when the check ran and found nothing wrong."""
    cause: Cause = Cause.VERIFIED
    """Why it failed; `verified` when it passed."""
    problems: tuple[str, ...] = ()
    """What is wrong, one sentence each; empty when it passed."""
    files: tuple[str, ...] = ()
    """Paths, relative to the workdir, of the files that the check looked at."""


class ImageIdentity(Record):
    """What an image really is, by content and not by tag."""

    reference: str
    """The name that the scenario gave."""
    digest: str
    """`name@sha256:...` when it came from a registry; else `content:sha256:...` over layers and configuration."""
    platform: str
    """For example `linux/amd64`."""
    recipe: str | None = None
    """Hash of build context and build arguments for an image that `specbench runner build` made; else null."""


class SandboxRecord(Record):
    """Where a trial ran, and which limits were really in force."""

    backend: str
    """`docker`, `local` or a third party's name."""
    image: ImageIdentity | None
    """Null where the backend has no image."""
    enforced: dict[str, bool]
    """For each of `cpus`, `memory`, `pids`, `network`: whether the backend enforces it."""
    engine: str | None = None
    """Engine version and cgroup version, for example `20.10.24 (cgroup v1)`."""


class AgentRecord(Record):
    """Who acted."""

    name: str
    """Registered name or `module:Class`."""
    version: str
    """Version that the agent states."""
    model: str | None = None
    """LiteLLM model name or `replay:CASSETTE`; null when the agent takes no model."""
    configuration: dict[str, Scalar] = Field(default_factory=dict)
    """What else shapes its behaviour, without secrets."""


class KeptSandbox(Record):
    """A sandbox that was left for a look: nothing of the agent runs in it, and its network is off."""

    name: str
    """Name of the container, or path of the folder."""
    run_id: str
    """The run that left it."""
    scenario_id: str
    """The scenario that it was made for."""
    enter: str
    """Command that looks into it."""
    remove: str
    """Command that removes it."""


class TrialRecord(Record):
    """One trial: what happened, what it cost, where its artifacts lie."""

    index: int
    """Number of the trial, from 1."""
    started_at: datetime
    """Wall-clock start, UTC."""
    outcome: Outcome
    """Success, failure (the agent's) or infrastructure (nobody's score)."""
    cause: Cause
    """Why."""
    reason: str
    """One sentence for a person."""
    metrics: dict[str, Measurement]
    """One entry for every metric of `core.metrics.METRICS`."""
    phases_ms: dict[str, float] = Field(default_factory=dict)
    """Milliseconds of set-up, agent, kill, verification and teardown, as far as they ran."""
    checks: tuple[CheckResult, ...] = ()
    """What the verifiers found; empty when verification did not run."""
    killed: tuple[str, ...] = ()
    """Processes that the agent left running and that were killed before verification."""
    agent: AgentRecord
    """Who acted."""
    sandbox: SandboxRecord | None
    """Where; null when no sandbox came up."""
    artifacts_path: str
    """Folder of the trial, relative to the run folder."""
    repeated: bool = False
    """True for an attempt that failed for infrastructure's sake and was repeated; it is kept, and not counted."""
    resumed: bool = False
    """True when an earlier part of the run, which was resumed, ran it."""
    kept: KeptSandbox | None = None
    """Its sandbox, where that was left for a look; null: it was removed."""
    notes: tuple[str, ...] = ()
    """Things that were recorded and changed nothing: what was not enforced, what could not be torn down."""


class Fingerprint(Record):
    """What must be equal for a comparison to mean anything, what is under test, and on which host it ran."""

    instrument: dict[str, Scalar]
    """Dataset, scenario and verifier content, limits, sandbox backend, image, agent name, model, cassette, modes."""
    subject: dict[str, Scalar]
    """The fields that the scenario declares to be under test."""
    host: dict[str, Scalar]
    """Host class and what it was derived from."""
    gate: dict[str, Scalar] = Field(default_factory=dict)
    """What decides how strictly is judged; a lock pins it, and baselines are not matched by it."""


type Number = float | int | bool | None


class MetricComparison(Record):
    """One metric, measured against approved."""

    name: str
    """Name of the metric."""
    baseline: Number
    """Approved value; null when the baseline does not hold it."""
    measured: Number
    """Value of this run; null when it could not be measured."""
    delta_percent: float | None
    """Change in percent of the approved value; null where that has no meaning."""
    threshold_percent: float | None
    """Percent from which on it is a regression; null: it is shown, and not judged by a threshold."""
    tracked: bool
    """Whether the scenario tracks it."""
    result: Literal["within", "worse", "not compared"]
    """`worse` fails a tracked metric."""
    reason: str | None = None
    """Why it was not compared, or what is worse."""


class SubjectChange(Record):
    """Something under test that differs from the baseline's; null on one side where it is not there."""

    name: str
    """Name of the fact."""
    baseline: Scalar
    """The baseline's."""
    measured: Scalar
    """This run's."""


class Comparison(Record):
    """What became of the comparison with a baseline."""

    lock: LockState = "none"
    """`none`: there is no lock file; `no entry`: it pins nothing for this scenario and sandbox."""
    baseline_id: str | None = None
    """The active baseline that was compared with."""
    same_host: bool | None = None
    """Whether the baseline is this host class's; null where there is no baseline."""
    runtime_percent: float | None = None
    """Delta of `runtime_ms` in percent; null where it was not compared."""
    memory_percent: float | None = None
    """Delta of `peak_memory_mb` in percent; null where it was not compared."""
    metrics: tuple[MetricComparison, ...] = ()
    """Every metric, compared or with the reason why not."""
    subject_changes: tuple[SubjectChange, ...] = ()
    """What is under test and differs from the baseline's."""
    diff: tuple[str, ...] = ()
    """Readable diff to the lock, or to the nearest baseline, where the run could not be compared."""


class ArtifactPaths(Record):
    """The artifacts of the decisive trial, relative to the run folder."""

    run_metadata: str | None = None
    """Metadata of the trial."""
    agent_cast: str | None = None
    """Terminal recording, asciicast v2."""
    post_test: str | None = None
    """All of the verifier's output."""
    trajectory: str | None = None
    """ATIF trajectory."""
    summary: str | None = None
    """Normalised summary of the trial."""


class BenchmarkRun(Record):
    """One scenario in one run: its trials, its metrics, its status and where everything lies."""

    schema_version: Literal["1"] = "1"
    """Version of this record's form."""
    run_id: UUID
    """The invocation; all benchmark runs of one invocation share it."""
    scenario_id: str
    """The scenario; baselines are keyed on it."""
    display_name: str
    """Its title."""
    owner_rotation: str
    """Who is to be alerted."""
    commit_sha: str | None = None
    """Commit of the repository that holds the scenario; null outside of a repository, or where it was not looked at."""
    clean: bool | None = None
    """Whether that commit holds exactly what ran; null where it was not looked at, which counts as unclean."""
    executed_at: datetime
    """Start, UTC."""
    runner_image: str | None
    """Digest of the runner image; null where the sandbox has none or it was not found."""
    dataset_version: str
    """`NAME==VERSION` of the dataset, or `NAME` where there is no version."""
    status: Status
    """pass, regression, blocked or provisional."""
    cause: Cause
    """Why."""
    notes: str
    """For whoever triages: the reason in a sentence or more, with the next command."""
    exit_code: int
    """What this scenario alone would make the command exit with: 0, 1 or 2."""
    flaky: bool = False
    """An earlier attempt of the same invocation ended otherwise; this is the last one."""
    resumed: bool = False
    """An earlier part of the run, which was resumed, gave this verdict; never true in `run.json` itself."""
    metrics: dict[str, MetricSummary] = Field(default_factory=dict)
    """Every metric over the counted trials."""
    metrics_tracked: tuple[str, ...] = ()
    """The metrics that the gate looks at."""
    trials: tuple[TrialRecord, ...] = ()
    """Every attempt, repeated ones included."""
    min_rate: float | None = None
    """Share of the trials that must succeed; null: all of them."""
    fingerprint: Fingerprint | None = None
    """Null when the run was blocked before it was known."""
    comparison: Comparison = Comparison()
    """Deltas against the baseline."""
    acknowledgement: str | None = None
    """Audit entry by which a maintainer acknowledged the regression that this run shows; null for every other run."""
    artifacts_path: str
    """Folder of the scenario, relative to the run folder."""
    artifacts: ArtifactPaths = ArtifactPaths()
    """The files of the decisive trial."""
    artifact_hashes: dict[str, str] = Field(default_factory=dict)
    """sha256 of every artifact, keyed by its path relative to the scenario's folder."""
