"""The report of a run: the contract's JSON, and what it leaves open. Paths in it are relative to `run_folder`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from pytest_specbench.core.metrics import MetricSummary
from pytest_specbench.core.model import Record
from pytest_specbench.core.records import ArtifactPaths, BenchmarkRun, KeptSandbox, SubjectChange
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause, Status
from pytest_specbench.reporting.incident import IncidentReport
from pytest_specbench.reporting.verdict import code_of, exit_of, session_exit


class SettingsExcerpt(Record):
    """What the invocation was asked to do, as far as it shapes how the report is read."""

    agent: str | None = None
    """Agent of the command line; null: each scenario's own."""
    model: str | None = None
    """Model of the command line; null: each scenario's own."""
    sandbox: str
    """Backend that ran: `docker`, `local` or a third party's name."""
    sandbox_reason: str = ""
    """Why `auto` became this backend; empty when it was asked for by name."""
    approval_mode: str
    """What the agent was allowed: `minimal`, `trusted` or `full-access`."""
    policy: str = "threshold"
    """How metrics were judged."""
    trials: int | None = None
    """Trials of the command line; null: each scenario's own."""
    max_cost_usd: float | None = None
    """Cost cap for the session in USD; null: none."""
    allow_unisolated_model: bool = False
    """A live model was allowed in a sandbox that does not isolate."""
    allow_dirty: bool = False
    """An unclean repository was acknowledged."""
    no_incident: bool = False
    """Incidents were suppressed."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Setting -> where its value came from."""

    @classmethod
    def of(cls, settings: Settings) -> SettingsExcerpt:
        """The excerpt of the settings of an invocation."""
        return cls(
            agent=settings.agent,
            model=settings.model,
            sandbox=settings.sandbox,
            sandbox_reason=settings.sandbox_reason,
            approval_mode=settings.approval_mode,
            trials=settings.trials,
            max_cost_usd=settings.max_cost_usd,
            allow_unisolated_model=settings.allow_unisolated_model,
            allow_dirty=settings.allow_dirty,
            no_incident=settings.no_incident,
            sources=settings.sources,
        )


class ScenarioReport(Record):
    """One scenario in the report."""

    scenario_id: str
    """The scenario; baselines are keyed on it."""
    display_name: str
    """Its title."""
    owner_rotation: str
    """Who is to be alerted."""
    status: Status
    """pass, regression, blocked or provisional."""
    cause: Cause
    """Why."""
    exit_code: int
    """What this scenario alone makes the command exit with: 0, 1 or 2."""
    flaky: bool
    """An earlier attempt of the same invocation ended otherwise; this is the last one."""
    executed_at: datetime
    """Start, UTC."""
    runtime_ms: float | int | None
    """Median wall time of the agent phase in ms; null: see `metrics.runtime_ms.reason`."""
    runtime_delta_percent: float | None
    """Delta of `runtime_ms` against the baseline in percent; null where there is nothing to compare."""
    peak_memory_mb: float | int | None
    """Median peak working set in MB (1,000,000 bytes); null: see `metrics.peak_memory_mb.reason`."""
    memory_delta_percent: float | None
    """Delta of `peak_memory_mb` against the baseline in percent; null where there is nothing to compare."""
    baseline_id: str | None
    """The active baseline that it was compared with; null: none."""
    subject_changes: tuple[SubjectChange, ...] = ()
    """What is under test and differs from that baseline's, for example `agent.command`."""
    trials: int
    """Trials that count."""
    trials_repeated: int
    """Attempts that failed for infrastructure's sake and were repeated; they do not count."""
    trials_resumed: int = 0
    """Trials that an earlier part of the run, which was resumed, had completed."""
    resumed: bool = False
    """The verdict is an earlier part's; nothing was run again."""
    metrics_tracked: tuple[str, ...]
    """The metrics that the gate looks at."""
    metrics: dict[str, MetricSummary]
    """Every metric over the counted trials."""
    artifacts_path: str
    """Folder of the scenario, relative to `run_folder`."""
    artifacts: ArtifactPaths
    """Files of the decisive trial, relative to `run_folder`; null where one was not made."""
    notes: str
    """For whoever triages; empty for a plain pass."""


class Resumed(Record):
    """What a run that was cut short and resumed took from its earlier parts."""

    part: int
    """Number of this part; the run itself was the first."""
    first_started_at: AwareDatetime
    """When the first part began."""
    scenarios: tuple[str, ...]
    """Scenarios whose verdict is an earlier part's; nothing of them was run again."""
    trials: int
    """Trials of the other scenarios that an earlier part had completed."""


class Summary(Record):
    """How many scenarios ended how."""

    regressions: int
    """Scenarios with status regression."""
    blocked: int
    """Scenarios with status blocked."""
    provisional: int
    """Scenarios with status provisional."""
    passed: int
    """Scenarios with status pass."""
    total: int
    """All scenarios of the report."""


class Report(Record):
    """The report of one invocation."""

    schema_version: Literal["1"] = "1"
    """Version of this report's form."""
    run_id: UUID
    """The invocation."""
    generated_at: AwareDatetime
    """When the report was made, ISO 8601 with its offset."""
    dataset: str | None
    """Dataset reference of the invocation; null: each scenario's own."""
    run_folder: str
    """Artifact folder of the run, relative to pytest's rootdir where it lies inside; report.json itself lies in it."""
    exit_code: int
    """What the command exits with; never lower than what any scenario demands."""
    exit_reason: str
    """Why, in a sentence."""
    interrupted: bool
    """The run was stopped before every scenario had its verdict."""
    settings: SettingsExcerpt
    """What the invocation was asked to do."""
    scenarios: tuple[ScenarioReport, ...]
    """One entry a scenario, in the order in which they were collected."""
    missing_verdicts: tuple[str, ...] = ()
    """Scenarios that started and gave no verdict."""
    collection_problems: tuple[str, ...] = ()
    """What could not be collected, and why."""
    altered: tuple[str, ...] = ()
    """What the work tree has otherwise than the trusted ref of what decides about it, a sentence each."""
    incidents: tuple[IncidentReport, ...] = ()
    """Who was told of regressions and recoveries, and who was not."""
    summary: Summary
    """The scenarios above, counted by status."""
    resumed: Resumed | None = None
    """What earlier parts of the run gave; null for a run that was not resumed."""
    kept: tuple[KeptSandbox, ...] = ()
    """Sandboxes that were left for a look, with the commands that enter and remove them."""


@dataclass(frozen=True)
class RunInfo:
    """What a report says about the invocation and does not take from the benchmark runs."""

    run_id: UUID
    """The invocation."""
    generated_at: datetime
    """Now, with its offset."""
    run_folder: str
    """The run's artifact folder as it is to be shown."""
    settings: SettingsExcerpt
    """What the invocation was asked to do."""
    dataset: str | None = None
    """Dataset reference of the invocation."""
    interrupted: bool = False
    """A person or the CI service stopped it. Not for `-x`, which ends a run by its own failure."""
    pytest_status: int = 0
    """What pytest itself would exit with."""
    missing: tuple[str, ...] = ()
    """Scenarios that started and gave no verdict."""
    collection_problems: tuple[str, ...] = ()
    """What could not be collected, one text each."""
    resumed: Resumed | None = None
    """What earlier parts of the run gave."""
    kept: tuple[KeptSandbox, ...] = ()
    """Sandboxes that were left for a look."""
    altered: tuple[str, ...] = ()
    """What was altered in comparison with the trusted ref, one sentence each."""
    other_failures: int = 0
    """Ordinary tests of the same session that failed."""

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        run_id: UUID,
        generated_at: datetime,
        missing: tuple[str, ...] = (),
        interrupted: bool = False,
    ) -> RunInfo:
        """What the settings say, and what else every run knows; `dataclasses.replace` adds the rest."""
        folder = settings.run_folder
        if folder.is_relative_to(settings.work_tree):
            folder = folder.relative_to(settings.work_tree)
        return cls(
            run_id=run_id,
            generated_at=generated_at,
            run_folder=folder.as_posix(),
            settings=SettingsExcerpt.of(settings),
            dataset=settings.dataset,
            interrupted=interrupted,
            missing=missing,
        )


def make_report(runs: Sequence[BenchmarkRun], *, info: RunInfo) -> Report:
    """The report of a run, with the scenarios in the order given; its `exit_code` is the session's."""
    ours = exit_of(runs, info.missing, info.interrupted, other_failures=info.other_failures)
    code, reason = session_exit(ours, pytest_status=info.pytest_status, problems=len(info.collection_problems))
    return Report(
        run_id=info.run_id,
        generated_at=info.generated_at,
        dataset=info.dataset,
        run_folder=info.run_folder,
        exit_code=code,
        exit_reason=reason,
        interrupted=info.interrupted,
        settings=info.settings,
        scenarios=tuple(scenario_report(run) for run in runs),
        missing_verdicts=info.missing,
        collection_problems=info.collection_problems,
        summary=summary_of([run.status for run in runs]),
        altered=info.altered,
        resumed=info.resumed,
        kept=info.kept,
    )


def report_json(report: Report) -> dict[str, Any]:
    """The report as plain JSON data, as it stands in report.json and on stdout."""
    return report.model_dump(mode="json")


def scenario_report(run: BenchmarkRun) -> ScenarioReport:
    """The entry of a benchmark run."""
    repeated = sum(trial.repeated for trial in run.trials)
    return ScenarioReport(
        scenario_id=run.scenario_id,
        display_name=run.display_name,
        owner_rotation=run.owner_rotation,
        status=run.status,
        cause=run.cause,
        exit_code=code_of(run),
        flaky=run.flaky,
        executed_at=run.executed_at,
        runtime_ms=_value(run, "runtime_ms"),
        runtime_delta_percent=run.comparison.runtime_percent,
        peak_memory_mb=_value(run, "peak_memory_mb"),
        memory_delta_percent=run.comparison.memory_percent,
        baseline_id=run.comparison.baseline_id,
        subject_changes=run.comparison.subject_changes,
        trials=len(run.trials) - repeated,
        trials_repeated=repeated,
        trials_resumed=len(run.trials) if run.resumed else sum(trial.resumed for trial in run.trials),
        resumed=run.resumed,
        metrics_tracked=run.metrics_tracked,
        metrics=run.metrics,
        artifacts_path=run.artifacts_path,
        artifacts=run.artifacts,
        notes=run.notes,
    )


def _value(run: BenchmarkRun, name: str) -> float | int | None:
    return run.metrics[name].value if name in run.metrics else None


def summary_of(statuses: Sequence[Status]) -> Summary:
    """How many ended how."""
    return Summary(
        regressions=statuses.count(Status.REGRESSION),
        blocked=statuses.count(Status.BLOCKED),
        provisional=statuses.count(Status.PROVISIONAL),
        passed=statuses.count(Status.PASS),
        total=len(statuses),
    )
