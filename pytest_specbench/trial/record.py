"""From what was seen of a trial to its outcome, its metrics and its two small files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from pytest_specbench import __version__
from pytest_specbench.agents.base import AgentOutcome
from pytest_specbench.core.errors import SpecbenchError
from pytest_specbench.core.metrics import METRICS, Measurement
from pytest_specbench.core.records import (
    AgentRecord,
    CheckResult,
    Fingerprint,
    KeptSandbox,
    SandboxRecord,
    Scalar,
    TrialRecord,
)
from pytest_specbench.core.status import FUNCTIONAL_FAILURES, Cause, Outcome
from pytest_specbench.recording.atif import ATIF_VERSION
from pytest_specbench.recording.files import unwritable
from pytest_specbench.recording.metadata import TrialMetadata, TrialSummary, split_model, usage_of
from pytest_specbench.sandboxes.base import Usage


@dataclass
class Seen:
    """What is known of a trial while it goes on; each phase adds to it, so that nothing known is lost at an error."""

    started: datetime
    sandbox: SandboxRecord | None = None
    outcome: AgentOutcome | None = None
    failure: SpecbenchError | None = None
    usage: Usage | None = None
    used: dict[str, Measurement] = field(default_factory=dict)
    """What an agent that did not end had used, by its own account."""
    agent_ms: float | None = None
    commands: int = 0
    killed: tuple[str, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    phases_ms: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    kept: KeptSandbox | None = None
    """The sandbox, where it was left for a look."""

    def host_failed(self, error: OSError) -> None:
        """The artifacts cannot be written. An interruption stays one: it must go on."""
        if getattr(self.failure, "cause", None) is not Cause.INTERRUPTED:
            self.failure = unwritable(error)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Adds the milliseconds of its block to the phases, however that ends."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.phases_ms[phase] = round((time.monotonic() - begun) * 1000, 3)

    @property
    def all_notes(self) -> list[str]:
        """How the sandbox measured, what the agent remarked, and what went wrong beside it."""
        measured = self.usage.notes if self.usage else ()
        remarked = self.outcome.notes if self.outcome else ()
        return [*measured, *remarked, *self.notes]

    @property
    def out_of_memory(self) -> bool:
        """The kernel killed something of the agent's because memory ran out."""
        return self.usage is not None and self.usage.out_of_memory


@dataclass(frozen=True)
class Invocation:
    """What the small files say of the invocation that the trial belongs to."""

    run_id: str
    dataset: str
    scenario_id: str
    commit_sha: str | None
    approval_mode: str
    approval_mode_source: str
    backend: str
    limits: dict[str, Scalar]
    fingerprint: Fingerprint | None
    tree: str | None = None
    """What is checked out and changed, as a hash; None where that cannot be told."""


def conclude(seen: Seen, trajectory_problems: list[str]) -> tuple[Outcome, Cause, str]:
    """The outcome of the trial. Only a content agent, a dead one, and a verifier that said yes make a success."""
    failure = seen.failure
    if failure is not None:
        cause = getattr(
            failure, "cause", Cause.CONFIGURATION
        )  # an error of ours without one: something is wrong as given
        if cause not in FUNCTIONAL_FAILURES:
            return Outcome.INFRASTRUCTURE, cause, str(failure)
        if seen.out_of_memory:
            return Outcome.FAILURE, Cause.OUT_OF_MEMORY, f"memory ran out; {failure}"
        return Outcome.FAILURE, cause, str(failure)
    if seen.outcome is None or not seen.checks:
        return Outcome.INFRASTRUCTURE, Cause.NO_VERDICT, "the trial ended without a verdict"
    if seen.outcome.cause is not Cause.VERIFIED:
        cause = Cause.OUT_OF_MEMORY if seen.out_of_memory else seen.outcome.cause
        return Outcome.FAILURE, cause, seen.outcome.reason or f"the agent ended with {seen.outcome.cause}"
    if seen.outcome.exit_status != 0:
        reason = f"the agent says that it ended content, with exit status {seen.outcome.exit_status}"
        return Outcome.FAILURE, Cause.AGENT_CRASHED, reason
    failed = [check for check in seen.checks if not check.passed]
    if failed:
        cause = Cause.OUT_OF_MEMORY if seen.out_of_memory else failed[0].cause
        return Outcome.FAILURE, cause, f"{failed[0].name}: {'; '.join(failed[0].problems[:3]) or 'failed'}"
    if trajectory_problems:
        return Outcome.FAILURE, Cause.TRAJECTORY_INVALID, "invalid trajectory: " + "; ".join(trajectory_problems[:3])
    return Outcome.SUCCESS, Cause.VERIFIED, f"{len(seen.checks)} checks passed"


def measured(seen: Seen, outcome: Outcome) -> dict[str, Measurement]:
    """Every metric of the trial; what was not measured is null with the reason."""
    metrics = {name: Measurement.unknown("the agent phase did not end") for name in METRICS}
    if seen.agent_ms is not None:
        metrics["runtime_ms"] = Measurement(value=round(seen.agent_ms, 3))
    for name in ("cpu_ms", "peak_memory_mb", "kernel_peak_memory_mb"):
        value = getattr(seen.usage, name, None)
        if value is not None:
            metrics[name] = Measurement(value=round(value, 3))
        elif seen.usage is not None:
            metrics[name] = Measurement.unknown(seen.usage.reasons.get(name, "the sandbox does not measure it"))
    if outcome is not Outcome.INFRASTRUCTURE:
        metrics["success"] = Measurement(value=outcome is Outcome.SUCCESS)
    ended = seen.outcome
    if ended is not None or outcome is Outcome.FAILURE:
        metrics["exit_status"] = Measurement(value=1 if ended is None else ended.exit_status)
        metrics["steps"] = Measurement(value=seen.commands)
        for name in ("model_wait_ms", "input_tokens", "output_tokens", "cached_tokens", "cost_usd"):
            metrics[name] = Measurement.unknown("the agent does not report it")
        metrics.update(seen.used if ended is None else ended.usage)
    return metrics


def metadata(invocation: Invocation, agent: AgentRecord, seen: Seen, index: int) -> TrialMetadata:
    """`run_metadata.json`: at the start with what is known then, at the end with all."""
    provider, model = split_model(agent.model)
    return TrialMetadata(
        timestamp_utc=seen.started,
        run_id=invocation.run_id,
        trial_index=index,
        commit_sha=invocation.commit_sha,
        version=__version__,
        agent_name=agent.name,
        agent_version=agent.version,
        dataset_id=invocation.dataset,
        task_id=invocation.scenario_id,
        model_provider=provider,
        model_name=model,
        approval_mode=invocation.approval_mode,
        approval_mode_source=invocation.approval_mode_source,
        sandbox_backend=invocation.backend,
        image=None if seen.sandbox is None else seen.sandbox.image,
        limits=invocation.limits,
        limits_enforced={} if seen.sandbox is None else seen.sandbox.enforced,
        atif_schema_version=ATIF_VERSION,
        exit_status=None if seen.outcome is None else seen.outcome.exit_status,
        fingerprint=invocation.fingerprint,
    )


def summary(invocation: Invocation, trial: TrialRecord) -> TrialSummary:
    """`summary.json`."""
    return TrialSummary(
        scenario_id=invocation.scenario_id,
        trial_index=trial.index,
        status=trial.outcome,
        cause=trial.cause,
        reason=trial.reason,
        started_at=trial.started_at,
        duration_ms=round(sum(trial.phases_ms.values()), 3),
        phases_ms=trial.phases_ms,
        usage=usage_of(trial.metrics),
        cost_usd=trial.metrics["cost_usd"],
        model=trial.agent.model,
        approval_mode=invocation.approval_mode,
        metrics=trial.metrics,
    )
