"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pytest_specbench.core.status import Cause, Status
from pytest_specbench.reporting.incident import incident_line
from pytest_specbench.reporting.kept import kept_lines
from pytest_specbench.reporting.report import Report, ScenarioReport, Summary
from pytest_specbench.reporting.text import cell_width, encodes, pad, printable, wrap
from pytest_specbench.reporting.values import UNKNOWN, show_cause, show_change, show_delta, show_status, show_value

MARKS: Mapping[Status, tuple[str, str]] = {
    Status.PASS: ("✓", "+"),
    Status.REGRESSION: ("✗", "x"),
    Status.BLOCKED: ("■", "#"),
    Status.PROVISIONAL: ("○", "o"),
}
"""Status -> its mark, and the mark for a stream that cannot hold the first."""

COLORS: Mapping[Status, str] = {
    Status.PASS: "\x1b[32m",
    Status.REGRESSION: "\x1b[31m",
    Status.BLOCKED: "\x1b[33m",
    Status.PROVISIONAL: "\x1b[36m",
}
"""Status -> the terminal sequence of its colour."""

NARROWEST = 40
_RESET = "\x1b[0m"
_GAP = "  "
_INDENT = "    "


def render_table(report: Report, *, width: int, color: bool = False, encoding: str = "utf-8") -> list[str]:
    """The lines of the table, without line ends, at most `width` cells wide (40 at the least).

    Columns that do not fit move into a line below their scenario. Paths, commands and the last line,
    `specbench: exit N: reason`, are never broken. Without `color` there is no terminal sequence in it.
    """
    return _Table(report, max(width, NARROWEST), color=color, encoding=encoding).lines()


def exit_line(report: Report, encoding: str = "utf-8") -> str:
    """The last line: `specbench: exit N: reason`."""
    return f"specbench: exit {report.exit_code}: {printable(report.exit_reason, encoding)}"


@dataclass(frozen=True)
class _Column:
    title: str
    cells: tuple[str, ...]

    @property
    def width(self) -> int:
        return max(map(cell_width, (self.title, *self.cells)))


class _Footnotes:
    """Numbers the reasons why tracked metrics are unknown; the same reason has one number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, scenario: ScenarioReport, name: str) -> str:
        summary = scenario.metrics.get(name)
        if summary is None or summary.value is not None or name not in scenario.metrics_tracked:
            return ""
        note = f"{name}: {summary.reason or 'no reason was recorded'}"
        return f"[{self._numbers.setdefault(note, len(self._numbers) + 1)}]"

    def notes(self) -> list[str]:
        return [f"[{number}] {note}" for note, number in self._numbers.items()]


class _Table:
    def __init__(self, report: Report, width: int, *, color: bool, encoding: str) -> None:
        self.report = report
        self.width = width
        self.color = color
        self.encoding = encoding
        self.fancy = all(encodes(mark, encoding) for mark, _ in MARKS.values())
        self.footnotes = _Footnotes()
        self.names = tuple(self.text(scenario.scenario_id) for scenario in report.scenarios)
        columns = self._columns()
        # A name longer than a third of the line has a line of its own, so that it does not push the columns out.
        room = max(n for n in map(cell_width, (*self.names, "scenario")) if n <= width // 3)
        kept = len(columns)
        while kept > 1 and 2 + room + sum(len(_GAP) + column.width for column in columns[:kept]) > width:
            kept -= 1
        self.kept, self.dropped, self.room = columns[:kept], columns[kept:], room

    def text(self, text: str) -> str:
        return printable(text, self.encoding)

    def lines(self) -> list[str]:
        report, lines = self.report, []
        if report.scenarios:
            lines.append(self._row(" ", "scenario", [column.title for column in self.kept]))
        lines += chain.from_iterable(self._scenario(n, scenario) for n, scenario in enumerate(report.scenarios))
        for name in report.missing_verdicts:
            lines.append(f"{self._mark(Status.BLOCKED)} {self.text(name)}: started and gave no verdict")
        for problem in report.collection_problems:
            lines += [*self.wrap("not collected:"), *self.wrap(problem, _INDENT)]
        lines += chain.from_iterable(self.wrap(printable(incident_line(each))) for each in report.incidents)
        self._track_the_rest()
        lines += chain.from_iterable(self.wrap(note) for note in self.footnotes.notes())
        lines.append("")
        lines += [self.text(line) for line in kept_lines(report.kept)]
        lines += self.wrap(_resumed(report)) if report.resumed else []
        lines += self.wrap(counts(report.summary, report.scenarios, missing=len(report.missing_verdicts)))
        lines.append(f"artifacts: {self.text(report.run_folder)}")
        lines.append(exit_line(report, self.encoding))
        return lines

    def wrap(self, text: str, indent: str = "") -> list[str]:
        return wrap(text, self.width, indent=indent, encoding=self.encoding)

    def _columns(self) -> list[_Column]:
        scenarios = self.report.scenarios
        columns = [
            _Column("status", tuple(show_status(scenario.status, scenario.baseline_id) for scenario in scenarios)),
            _Column("trials", tuple(str(scenario.trials) for scenario in scenarios)),
            self._column("runtime", self._runtime),
            self._column("peak memory", self._memory),
            self._column("steps", lambda scenario: self._metric(scenario, "steps")),
            self._column("tokens", self._tokens),
            self._column("cost", lambda scenario: self._metric(scenario, "cost_usd")),
        ]
        return [column for column in columns if column.title not in {"tokens", "cost"} or _says_something(column)]

    def _column(self, title: str, cell: Callable[[ScenarioReport], str]) -> _Column:
        return _Column(title, tuple(cell(scenario) for scenario in self.report.scenarios))

    def _metric(self, scenario: ScenarioReport, name: str, delta: float | None = None) -> str:
        summary = scenario.metrics.get(name)
        shown = show_value(name, summary.value if summary else None) + self.footnotes.mark(scenario, name)
        return shown if delta is None else f"{shown} ({show_delta(delta)})"

    def _runtime(self, scenario: ScenarioReport) -> str:
        return self._metric(scenario, "runtime_ms", scenario.runtime_delta_percent)

    def _memory(self, scenario: ScenarioReport) -> str:
        return self._metric(scenario, "peak_memory_mb", scenario.memory_delta_percent)

    def _tokens(self, scenario: ScenarioReport) -> str:
        sides = [self._metric(scenario, name) for name in ("input_tokens", "output_tokens")]
        return UNKNOWN if sides == [UNKNOWN, UNKNOWN] else f"{sides[0]} in, {sides[1]} out"

    def _track_the_rest(self) -> None:
        """Give the tracked metrics that have no column their footnotes."""
        for scenario in self.report.scenarios:
            for name in scenario.metrics_tracked:
                self.footnotes.mark(scenario, name)

    def _row(self, mark: str, name: str, cells: Sequence[str], status: Status | None = None) -> str:
        padded = [pad(cell, column.width) for cell, column in zip(cells, self.kept, strict=True)]
        if status is not None:
            padded[0] = padded[0].replace(cells[0], self._paint(cells[0], status))
        return _GAP.join([f"{mark} {pad(name, self.room)}", *padded]).rstrip(" ")

    def _mark(self, status: Status) -> str:
        return self._paint(MARKS[status][0 if self.fancy else 1], status)

    def _paint(self, text: str, status: Status) -> str:
        return f"{COLORS[status]}{text}{_RESET}" if self.color else text

    def _scenario(self, number: int, scenario: ScenarioReport) -> list[str]:
        mark, name, lines = self._mark(scenario.status), self.names[number], []
        if cell_width(name) > self.room:
            lines.append(f"{mark} {name}")
            mark, name = " ", ""
        lines.append(self._row(mark, name, [column.cells[number] for column in self.kept], scenario.status))
        moved = [(column.title, column.cells[number]) for column in self.dropped]
        lines += self.wrap(", ".join(f"{title} {cell}" for title, cell in moved if cell != UNKNOWN), _INDENT)
        return lines + self._remarks(scenario)

    def _remarks(self, scenario: ScenarioReport) -> list[str]:
        lines: list[str] = []
        plain = scenario.cause is Cause.VERIFIED
        if scenario.trials_repeated:
            lines += self.wrap(f"{scenario.trials_repeated} failed for infrastructure's sake and repeated", _INDENT)
        if not plain:
            lines += self.wrap(f"{show_cause(scenario.cause)}:", _INDENT)
        lines += self.wrap(scenario.notes, _INDENT if plain else _INDENT + "  ")
        for change in scenario.subject_changes:
            lines += self.wrap(f"changed under test: {show_change(change)}", _INDENT)
        if not plain:
            lines.append(f"{_INDENT}artifacts: {self.text(f'{self.report.run_folder}/{scenario.artifacts_path}')}")
        return lines


def _says_something(column: _Column) -> bool:
    return any(cell != UNKNOWN for cell in column.cells)


def counts(summary: Summary, scenarios: Iterable[ScenarioReport], *, missing: int = 0) -> str:
    """How many scenarios there are, and how many of each status; `missing` gave no verdict."""
    failed = [show_status(one.status, one.baseline_id) for one in scenarios].count("failed")
    regressions = summary.regressions - failed
    parts = [
        (summary.passed, "passed"),
        (failed, "failed"),
        (regressions, "regression" if regressions == 1 else "regressions"),
        (summary.blocked, "blocked"),
        (summary.provisional, "provisional"),
        (missing, "without a verdict"),
    ]
    total = summary.total + missing
    counted = ", ".join(f"{count} {word}" for count, word in parts if count)
    return f"{total} {'scenario' if total == 1 else 'scenarios'}" + (f": {counted}" if counted else "")


def _resumed(report: Report) -> str:
    """What an earlier part of the run gave."""
    assert report.resumed is not None  # noqa: S101 - for the type checker: the caller has asked
    taken, total = len(report.resumed.scenarios), report.summary.total
    if total and taken == total and not (report.missing_verdicts or report.interrupted):
        return "resumed: nothing was left to do, every verdict is from an earlier part"
    trials = f", and {report.resumed.trials} of the trials" if report.resumed.trials else ""
    return f"resumed: {taken} of {total} verdicts are from the earlier part of the run{trials}"
