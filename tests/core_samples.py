"""Records for the tests of pure rules."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.metrics import METRICS, Measurement, MetricSummary, summary_of
from pytest_specbench.core.records import AgentRecord, Fingerprint, TrialRecord
from pytest_specbench.core.status import Cause, Outcome

NOW = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)


def trial(index: int = 1, outcome: Outcome = Outcome.SUCCESS, cause: Cause = Cause.VERIFIED, **metrics: object):
    measured = {name: Measurement(value=1) for name in METRICS}
    measured |= {name: value for name, value in metrics.items() if isinstance(value, Measurement)}
    measured |= {name: Measurement(value=value) for name, value in metrics.items() if isinstance(value, (int, float))}
    return TrialRecord(
        index=index,
        started_at=NOW,
        outcome=outcome,
        cause=cause,
        reason=f"because of {cause}",
        metrics=measured,
        agent=AgentRecord(name="oracle", version="1"),
        sandbox=None,
        artifacts_path=f"s/trial-{index:02d}",
    )


def summary(value: float | bool | None, name: str = "runtime_ms", **more: object) -> MetricSummary:
    if value is not None:
        return summary_of(name, (value,)).model_copy(update=more)
    return MetricSummary(value=None, unit=METRICS[name].unit, reason="nobody looked", **more)


def fingerprint(host: str = "h1", **instrument: object) -> Fingerprint:
    return Fingerprint(
        instrument={"scenario": "s", "cpus": 1.0, **instrument},
        subject={"agent_version": "1"},
        host={"class": host, "cores": 2},
    )


def baseline(name: str = "s-1", found: Fingerprint | None = None, **fields: object) -> BaselineRecord:
    values = {
        "baseline_id": name,
        "scenario_id": "s",
        "approved_on": date(2026, 11, 1),
        "approved_by": "maintainers@example.org",
        "rotation": "workflow-maintainers",
        "runner_image": None,
        "dataset_version": "d==1",
        "metrics": {"runtime_ms": summary(100.0)},
        "fingerprint": found or fingerprint(),
        "run_ids": (UUID(int=1),),
        "recorded_at": NOW,
        **fields,
    }
    return BaselineRecord(**values)
