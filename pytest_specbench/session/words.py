"""How a benchmark run looks in pytest's own report: what rides on it; words, letters and colours of a status."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import pytest

from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.status import EXIT_BLOCKED, Status

WORDS = {
    Status.PASS: ("passed", ".", ("PASS", {"green": True})),
    Status.PROVISIONAL: ("provisional", "p", ("PROVISIONAL", {"yellow": True})),
    Status.REGRESSION: ("failed", "F", ("REGRESSION", {"red": True})),
    Status.BLOCKED: ("error", "B", ("BLOCKED", {"red": True})),
}
"""Category, letter and word of each status."""
FAILED = ("failed", "F", ("FAILED", {"red": True}))
"""The same for a regression without a baseline: nothing got worse."""
OWED = ("error", "A", ("APPROVAL NEEDED", {"red": True}))
"""The same for a provisional run that is not green, since an approval is owed."""


def attach(item: pytest.Item, report: pytest.TestReport, sandbox: Callable[[], tuple[str, str]]) -> None:
    """Put the item's benchmark run on the report: one JSON string, and plain scalars for JUnit and its like. `sandbox`
    says its name and why it was chosen.
    """
    run: BenchmarkRun | None = getattr(item, "benchmark_run", None)
    if run is None or report.when != "call":
        return
    report.specbench = run.model_dump_json()  # type: ignore[attr-defined]
    report.specbench_sandbox = list(sandbox())  # type: ignore[attr-defined]
    if run.exit_code == EXIT_BLOCKED:
        # Every reader of pytest's results (JUnit, json-report, the summary) calls a failure of another phase than
        # `call` an error. That is what blocked means: nothing is known about the agent.
        report.when = "setup"
    properties: list[tuple[str, Any]] = [
        (f"specbench_{name}", str(getattr(run, name)))
        for name in ("scenario_id", "status", "cause", "exit_code", "dataset_version", "artifacts_path")
    ]
    for name in run.metrics_tracked:
        value = run.metrics[name].value if name in run.metrics else None
        properties.append((f"specbench_{name}", "unknown" if value is None else value))
    report.user_properties += properties
    # JUnit takes them from the report of the teardown, which is made from the item's.
    ours = [pair for pair in item.user_properties if not pair[0].startswith("specbench_")]
    item.user_properties[:] = [*ours, *properties]


def shorten_summary(stats: dict[str, list[Any]]) -> None:
    """Leave the first line of a scenario's failure to the summary at the end: in CI pytest would print all of it once
    more. The reports themselves, which others have, stay as they are.
    """
    for category, reports in stats.items():
        stats[category] = [_shortened(report) if hasattr(report, "specbench") else report for report in reports]


def _shortened(report: pytest.TestReport) -> pytest.TestReport:
    if not isinstance(report.longrepr, str):
        return report
    short = copy(report)
    short.longrepr = report.longrepr.partition("\n")[0]
    return short


def status_word(report: pytest.TestReport) -> tuple[str, str, Any] | None:
    """Category, letter and word of the report of a scenario; None for every other report."""
    text = getattr(report, "specbench", None)
    if text is None or str(report.outcome) == "rerun":  # pytest-rerunfailures has a word of its own
        return None
    run = BenchmarkRun.model_validate_json(text)
    if run.status is Status.PROVISIONAL and run.exit_code == EXIT_BLOCKED:
        return OWED
    if run.status is Status.REGRESSION and run.comparison.baseline_id is None:
        return FAILED
    return WORDS[run.status]
