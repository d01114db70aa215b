"""What `specbench report` says: the latest benchmark run of each scenario, or those of one run, in one form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime

from pytest_specbench.core.approval.audit import Action, Trail
from pytest_specbench.core.approval.eligibility import PASSING_RUNS, Wanted, streak
from pytest_specbench.core.model import Record
from pytest_specbench.core.records import BenchmarkRun, Comparison
from pytest_specbench.reporting.report import ScenarioReport, Summary, scenario_report, summary_of
from pytest_specbench.reporting.verdict import exit_of


class ScenarioSummary(ScenarioReport):
    """One scenario: what its run gave, where that is, and how far it is from a baseline of its own."""

    run_id: UUID
    """The run that this is of."""
    run_folder: str
    """Its folder, relative to pytest's rootdir where it lies inside; `artifacts` are relative to it."""
    dataset_version: str
    """`NAME==VERSION` of the dataset, or `NAME` where there is no version."""
    commit_sha: str | None
    """Commit of the repository that held the scenario; null where it was not looked at."""
    clean: bool | None
    """Whether that commit held exactly what ran; null where it was not looked at."""
    approved_as: str | None
    """The baseline that this run was made; null: none."""
    acknowledgement: str | None
    """Audit entry by which its regression is acknowledged; null: none."""
    passing_runs: int
    """Consecutive passing runs that end with this one, at most as many as an approval takes."""
    passing_runs_needed: int
    """How many an approval takes."""
    comparison: Comparison | None
    """Every metric against the baseline, and what else changed; null unless `--deltas` asks for it."""


class SummaryReport(Record):
    """The report over recorded runs: RunSummaryReport."""

    schema_version: Literal["1"] = "1"
    """Version of this report's form."""
    run_id: UUID
    """The run that was asked for; else the newest of those that are shown."""
    generated_at: AwareDatetime
    """When the report was made, ISO 8601 with its offset."""
    dataset: str | None
    """Dataset that was asked for; null: any."""
    exit_code: int
    """What a run with these results exits with; the report's own exit code is 0, or 3 with `problems`."""
    exit_reason: str
    """Why, in a sentence."""
    scenarios: tuple[ScenarioSummary, ...]
    """One entry a scenario, by id; of one run, in its order."""
    problems: tuple[str, ...]
    """What could not be shown, and why."""
    summary: Summary
    """The scenarios above, counted by status."""


@dataclass(frozen=True)
class Shown:
    """A benchmark run that is to be shown, with what is known around it."""

    run: BenchmarkRun
    run_folder: str
    entry: ScenarioReport | None = None
    """Its entry in report.json, where that was read."""
    flaky: bool = False
    """An earlier attempt of its run ended otherwise."""
    recorded: Sequence[BenchmarkRun] = field(default=())
    """Runs of the scenario to look for passing ones in."""


@dataclass(frozen=True)
class Asked:
    """What the report is about."""

    dataset: str | None = None
    deltas: bool = False
    run_id: UUID | None = None
    """The run that was asked for; None: the latest of each scenario."""
    exit_code: tuple[int, str] | None = None
    """What that run exited with, and why."""


def summarise_runs(shown: Sequence[Shown], trail: Trail, problems: Iterable[str], asked: Asked) -> SummaryReport | None:
    """The report; None when there is nothing that it could be about."""
    newest = max((one.run for one in shown), key=lambda run: run.executed_at, default=None)
    run_id = asked.run_id or (newest.run_id if newest is not None else None)
    if run_id is None:
        return None
    code = asked.exit_code or exit_of([one.run for one in shown], (), interrupted=False) or (0, "no scenario ran")
    return SummaryReport(
        run_id=run_id,
        generated_at=datetime.now(UTC),
        dataset=asked.dataset,
        exit_code=code[0],
        exit_reason=code[1],
        scenarios=tuple(_scenario(one, trail, deltas=asked.deltas) for one in shown),
        problems=tuple(problems),
        summary=summary_of([one.run.status for one in shown]),
    )


def summary_json(report: SummaryReport) -> dict[str, Any]:
    """The report as plain JSON data."""
    return report.model_dump(mode="json")


def _scenario(one: Shown, trail: Trail, *, deltas: bool) -> ScenarioSummary:
    run = one.run
    entry = one.entry or scenario_report(run).model_copy(update={"flaky": one.flaky})
    plain = {name: getattr(entry, name) for name in ScenarioReport.model_fields}
    decided = _decided(trail, run)
    return ScenarioSummary(
        **plain,
        run_id=run.run_id,
        run_folder=one.run_folder,
        dataset_version=run.dataset_version,
        commit_sha=run.commit_sha,
        clean=run.clean,
        approved_as=decided.get(Action.APPROVE),
        acknowledgement=run.acknowledgement or decided.get(Action.ACKNOWLEDGE),
        passing_runs=len(streak(run, one.recorded, Wanted()).runs),
        passing_runs_needed=PASSING_RUNS,
        comparison=run.comparison if deltas else None,
    )


def _decided(trail: Trail, run: BenchmarkRun) -> Mapping[Action, str]:
    """What maintainers made of a run: the baseline's id, and the name of the newest acknowledging entry."""
    found: dict[Action, str] = {}
    for filed in trail.entries:
        entry = filed.entry
        if (entry.run_id, entry.scenario_id) == (run.run_id, run.scenario_id):
            found[entry.action] = entry.baseline_id or filed.name
    return found
