"""Records for the tests of reporting: small, whole and valid; every test changes what it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pytest_specbench.core.metrics import DEFAULT_TRACKED, METRICS, Measurement, summarise
from pytest_specbench.core.records import (
    AgentRecord,
    ArtifactPaths,
    BenchmarkRun,
    Comparison,
    MetricComparison,
    SubjectChange,
    TrialRecord,
)
from pytest_specbench.core.status import Cause, Outcome, Status
from pytest_specbench.reporting.report import Report, RunInfo, SettingsExcerpt, make_report

RUN_ID = UUID("1f3c9a2e-0000-4000-8000-000000000001")
NOW = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)
VALUES: dict[str, Any] = {
    "runtime_ms": 12_345.0,
    "peak_memory_mb": 512.0,
    "exit_status": 0,
    "success": True,
    "steps": 12,
}
CODES = {Status.REGRESSION: 1, Status.BLOCKED: 2}


def measured(**values: Any) -> dict[str, Measurement]:
    """Every metric; what is not given is unknown."""
    known = {**VALUES, **values}
    return {
        name: Measurement.unknown("not measured") if known.get(name) is None else Measurement(value=known[name])
        for name in METRICS
    }


def trial(index: int = 1, **changes: Any) -> TrialRecord:
    """A trial that succeeded."""
    fields: dict[str, Any] = {
        "index": index,
        "started_at": NOW,
        "outcome": Outcome.SUCCESS,
        "cause": Cause.VERIFIED,
        "reason": "every check passed",
        "metrics": measured(),
        "agent": AgentRecord(name="oracle", version="1"),
        "sandbox": None,
        "artifacts_path": f"specify/trial-{index:02d}",
    }
    return TrialRecord(**{**fields, **changes})


def run(scenario_id: str = "specify", status: Status = Status.PASS, **changes: Any) -> BenchmarkRun:
    """A benchmark run with one trial; `values` sets metrics, anything else a field."""
    metrics = measured(**changes.pop("values", {}))
    fields: dict[str, Any] = {
        "run_id": RUN_ID,
        "scenario_id": scenario_id,
        "display_name": f"Scenario {scenario_id}",
        "owner_rotation": "guild",
        "executed_at": NOW,
        "runner_image": None,
        "dataset_version": "spec-kit==1",
        "status": status,
        "cause": Cause.VERIFIED,
        "notes": "",
        "exit_code": CODES.get(status, 0),
        "metrics": {name: summarise(name, [measurement]) for name, measurement in metrics.items()},
        "metrics_tracked": DEFAULT_TRACKED,
        "trials": (trial(metrics=metrics),),
        "comparison": Comparison(),
        "artifacts_path": scenario_id,
        "artifacts": ArtifactPaths(
            run_metadata=f"{scenario_id}/trial-01/run_metadata.json",
            agent_cast=f"{scenario_id}/trial-01/agent.cast",
            post_test=f"{scenario_id}/trial-01/post-test.txt",
        ),
    }
    return BenchmarkRun(**{**fields, **changes})


def metric(name: str, *values: Any, **more: Any) -> MetricComparison:
    """One metric against a baseline: baseline, measured, delta, threshold and, unless it is `within`, the result."""
    names = ("baseline", "measured", "delta_percent", "threshold_percent", "result")
    fields = {"tracked": True, "result": "within", **dict(zip(names, values, strict=False)), **more}
    return MetricComparison(name=name, **fields)


def compared(scenario_id: str = "specify", status: Status = Status.PASS, **changes: Any) -> BenchmarkRun:
    """A benchmark run that was compared with a baseline."""
    comparison = Comparison(
        baseline_id=f"{scenario_id}-2026-11-01",
        runtime_percent=5.44,
        memory_percent=-2.1,
        metrics=(
            metric("runtime_ms", 11_708.0, 12_345.0, 5.44, 5.0, "worse", reason="5.4 % worse, 5 % are allowed"),
            metric("peak_memory_mb", 523.0, 512.0, -2.1, 20.0),
            metric("exit_status", 0, 0, None, None),
            metric("success", True, True, None, None),
            metric("steps", None, 3, None, None, "not compared", tracked=False, reason="the baseline does not hold it"),
        ),
        subject_changes=(
            SubjectChange(name="agent.version", baseline="1.0", measured="1.1"),
            SubjectChange(name="agent.option", baseline=True, measured=None),
        ),
    )
    return run(scenario_id, status, **{"comparison": comparison, **changes})


def regression(scenario_id: str = "plan", **changes: Any) -> BenchmarkRun:
    """The agent left no plan."""
    fields = {"cause": Cause.ARTIFACT_MISSING, "notes": "no file matches specs/*/plan.md", **changes}
    return run(scenario_id, Status.REGRESSION, **fields)


def blocked(scenario_id: str = "tasks", **changes: Any) -> BenchmarkRun:
    """There was no engine."""
    fields: dict[str, Any] = {
        "cause": Cause.ENGINE_MISSING,
        "notes": "no Docker engine answers\n  next: specbench run --sandbox local",
        "metrics": {},
        "trials": (),
        "artifacts": ArtifactPaths(),
    }
    return run(scenario_id, Status.BLOCKED, **{**fields, **changes})


def info(**changes: Any) -> RunInfo:
    """What a report says about the invocation."""
    fields: dict[str, Any] = {
        "run_id": RUN_ID,
        "generated_at": NOW,
        "run_folder": ".terminalbench/runs/20261122T101530Z-1f3c9a2e",
        "settings": SettingsExcerpt(sandbox="docker", approval_mode="trusted"),
        "dataset": "spec-kit==1",
    }
    return RunInfo(**{**fields, **changes})


def report(*runs: BenchmarkRun, **changes: Any) -> Report:
    """The report of these runs."""
    return make_report(runs, info=info(**changes))
