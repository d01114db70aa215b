"""The report over recorded runs as a table and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from pytest_specbench.core.records import Comparison, MetricComparison
from pytest_specbench.core.status import Cause
from pytest_specbench.reporting.markdown import code, fence
from pytest_specbench.reporting.summary import ScenarioSummary, SummaryReport
from pytest_specbench.reporting.table import COLORS, MARKS, NARROWEST, counts
from pytest_specbench.reporting.text import cell_width, encodes, pad, printable, wrap
from pytest_specbench.reporting.values import UNKNOWN, show_cause, show_change, show_delta, show_status, show_value

_TITLES = ("status", "runtime", "peak memory", "baseline", "approval", "run", "executed (UTC)", "alert")
_GAP, _INDENT, _RESET = "  ", "    ", "\x1b[0m"


def render_summary_table(
    report: SummaryReport, *, width: int, color: bool = False, encoding: str = "utf-8"
) -> list[str]:
    """The lines of the table, without line ends, at most `width` cells wide (40 at the least).

    Columns that do not fit move into a line below their scenario; ids, paths and commands are never broken.
    """
    width = max(width, NARROWEST)
    names = [printable(scenario.scenario_id, encoding) for scenario in report.scenarios]
    cells = [tuple(printable(cell, encoding) for cell in _cells(scenario)) for scenario in report.scenarios]
    widths = [max(map(cell_width, column)) for column in zip(_TITLES, *cells, strict=True)]
    room = max(map(cell_width, ["scenario", *names]))
    kept = len(_TITLES)
    while kept > 1 and 2 + room + sum(len(_GAP) + one for one in widths[:kept]) > width:
        kept -= 1

    def row(mark: str, name: str, values: Sequence[str]) -> str:
        padded = [pad(value, one) for value, one in zip(values[:kept], widths, strict=False)]
        return _GAP.join([f"{mark} {pad(name, room)}", *padded]).rstrip(" ")

    lines = [row(" ", "scenario", _TITLES)] if report.scenarios else []
    fancy = all(encodes(mark, encoding) for mark, _ in MARKS.values())
    for scenario, name, values in zip(report.scenarios, names, cells, strict=True):
        mark = MARKS[scenario.status][0 if fancy else 1]
        lines.append(row(f"{COLORS[scenario.status]}{mark}{_RESET}" if color else mark, name, values))
        moved = [f"{title} {value}" for title, value in zip(_TITLES, values, strict=True)][kept:]
        for text in [", ".join(moved), *_remarks(scenario), *_deltas(scenario.comparison)]:
            lines += wrap(text, width, indent=_INDENT, encoding=encoding)
    return [*lines, *([""] if lines else []), *wrap(_counts(report), width, encoding=encoding)]


def render_summary_markdown(report: SummaryReport) -> str:
    """The report as a heading, a table and the notes; ends with a newline. What a scenario chooses stands in code."""
    titles = ("", "scenario", *_TITLES)
    parts = [f"## specbench: {_counts(report)}"]
    if report.scenarios:
        rows = [_row(*titles), f"|{'|'.join([' --- '] * len(titles))}|"]
        rows += [
            _row(
                MARKS[scenario.status][0],
                code(scenario.scenario_id),
                *(cell if cell == UNKNOWN else code(cell) for cell in _cells(scenario)),
            )
            for scenario in report.scenarios
        ]
        parts.append("\n".join(rows))
    for scenario in report.scenarios:
        lines = [*_remarks(scenario), *_deltas(scenario.comparison)]
        if lines:
            title = f"### {MARKS[scenario.status][0]} {code(scenario.scenario_id)}: {show_cause(scenario.cause)}"
            parts += [title, fence("\n".join(lines))]
    parts += [f"Not shown:\n\n{fence(problem)}" for problem in report.problems]
    return "\n\n".join(parts) + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(scenario: ScenarioSummary) -> tuple[str, ...]:
    """What stands below the titles."""
    return (
        show_status(scenario.status, scenario.baseline_id),
        _with_delta("runtime_ms", scenario.runtime_ms, scenario.runtime_delta_percent),
        _with_delta("peak_memory_mb", scenario.peak_memory_mb, scenario.memory_delta_percent),
        scenario.baseline_id or UNKNOWN,
        _approval(scenario),
        str(scenario.run_id)[:8],
        f"{scenario.executed_at:%Y-%m-%d %H:%M}",
        scenario.owner_rotation,
    )


def _with_delta(name: str, value: float | None, delta: float | None) -> str:
    shown = show_value(name, value)
    return shown if delta is None else f"{shown} ({show_delta(delta)})"


def _approval(scenario: ScenarioSummary) -> str:
    if scenario.approved_as is not None:
        return "approved"
    if scenario.acknowledgement is not None:
        return "acknowledged"
    return f"{scenario.passing_runs} of {scenario.passing_runs_needed}"


def _remarks(scenario: ScenarioSummary) -> Iterator[str]:
    if scenario.cause is not Cause.VERIFIED:
        yield f"{show_cause(scenario.cause)}:"
    if scenario.notes.strip():
        yield scenario.notes
    if scenario.approved_as is not None:
        yield f"approved as {scenario.approved_as}"
    if scenario.acknowledgement is not None:
        yield f"acknowledged by {scenario.acknowledgement}"
    if scenario.cause is not Cause.VERIFIED:
        yield f"artifacts: {scenario.run_folder}/{scenario.artifacts_path}"


def _deltas(comparison: Comparison | None) -> Iterator[str]:
    """Every metric that was compared or tracked, and what is under test and changed."""
    if comparison is None:
        return
    if comparison.baseline_id is None:
        yield "compared with no baseline"
    for metric in comparison.metrics:
        if metric.tracked or metric.result != "not compared":
            yield _delta(metric)
    for change in comparison.subject_changes:
        yield f"changed under test: {show_change(change)}"
    yield from chain(comparison.diff)


def _delta(metric: MetricComparison) -> str:
    values = f"{show_value(metric.name, metric.baseline)} -> {show_value(metric.name, metric.measured)}"
    percent = f" ({show_delta(metric.delta_percent)})" if metric.delta_percent is not None else ""
    allowed = f", threshold {metric.threshold_percent:g}%" if metric.threshold_percent is not None else ""
    reason = f": {metric.reason}" if metric.reason else ""
    return f"{metric.name}: {values}{percent}{allowed}, {metric.result}{reason}"


def _counts(report: SummaryReport) -> str:
    missing = f"; {len(report.problems)} could not be shown in full" if report.problems else ""
    return counts(report.summary, report.scenarios) + missing
