"""The report as GitHub-flavoured Markdown, for job summaries."""

from __future__ import annotations

import re
from collections.abc import Callable

from pytest_specbench.core.status import Cause, Status
from pytest_specbench.reporting.incident import IncidentReport
from pytest_specbench.reporting.report import Report, ScenarioReport
from pytest_specbench.reporting.table import MARKS
from pytest_specbench.reporting.text import printable, printable_lines
from pytest_specbench.reporting.values import show_cause, show_change, show_delta, show_status, show_value

type Shown = Callable[[str], str]
"""A text as inline code, without secrets."""

_PLAIN = re.compile(r"(?! )[^`|\\]+(?<! )")

_TITLES = ("", "scenario", "status", "cause", "trials", "runtime", "delta", "peak memory", "delta", "steps")


def render_markdown(report: Report, redact: Callable[[str], str] = str) -> str:
    """The report as a heading, a table and the notes; ends with a newline. `redact` takes secrets out of a text.

    Whatever a scenario or a sandbox may have chosen stands in code, where nothing of it is a link, a mention or HTML.
    """

    def shown(text: str) -> str:
        return code(redact(text))

    parts = [f"## specbench: exit {report.exit_code}", shown(report.exit_reason)]
    if report.scenarios:
        rule = "|".join([" --- "] * len(_TITLES))
        rows = [_row(*_TITLES), f"|{rule}|", *(_scenario(scenario, shown) for scenario in report.scenarios)]
        parts.append("\n".join(rows))
    parts += [_notes(scenario, shown, redact) for scenario in report.scenarios if not _is_plain(scenario)]
    parts += [f"**{shown(name)} started and gave no verdict.**" for name in report.missing_verdicts]
    parts += [f"Not collected:\n\n{fence(redact(problem))}" for problem in report.collection_problems]
    if report.incidents:
        parts.append("\n".join(["Incidents:", "", *(_incident(incident, shown) for incident in report.incidents)]))
    parts.append(f"Run {shown(str(report.run_id))}, artifacts in {shown(report.run_folder)}.")
    return "\n\n".join(parts) + "\n"


def code(text: str) -> str:
    """The text as inline code, fit for a table cell.

    A backslash before a pipe and backticks in backticks are read differently from one renderer to the next. A text with
    one of these is written with entities, which are never structure; any other stands as it is, for who reads it raw.
    """
    text = printable(text)
    if _PLAIN.fullmatch(text):
        return f"`{text}`"
    escaped = re.sub(r"[^A-Za-z0-9 ./\u0080-\U0010ffff-]", lambda match: f"&#{ord(match[0])};", text)
    return f"<code>{escaped}</code>"


def fence(text: str) -> str:
    """The text as a code block whose fence is longer than any in it."""
    body = "\n".join(printable_lines(text))
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{body}\n{ticks}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _scenario(scenario: ScenarioReport, shown: Shown) -> str:
    steps = scenario.metrics.get("steps")
    return _row(
        MARKS[scenario.status][0],
        shown(scenario.scenario_id),
        show_status(scenario.status, scenario.baseline_id),
        show_cause(scenario.cause),
        str(scenario.trials),
        show_value("runtime_ms", scenario.runtime_ms),
        show_delta(scenario.runtime_delta_percent),
        show_value("peak_memory_mb", scenario.peak_memory_mb),
        show_delta(scenario.memory_delta_percent),
        show_value("steps", steps.value if steps else None),
    )


def _is_plain(scenario: ScenarioReport) -> bool:
    as_ever = not scenario.notes and not scenario.subject_changes
    return scenario.status is Status.PASS and scenario.cause is Cause.VERIFIED and as_ever


def _incident(incident: IncidentReport, shown: Shown) -> str:
    line = f"- {shown(incident.scenario_id)}: {incident.action}"
    for text in filter(None, (incident.channel, incident.url, incident.reason)):
        line += f", {shown(text)}"
    return line


def _notes(scenario: ScenarioReport, shown: Shown, redact: Callable[[str], str]) -> str:
    title = f"### {MARKS[scenario.status][0]} {shown(scenario.scenario_id)}: {show_cause(scenario.cause)}"
    owner = f"Owner: {shown(scenario.owner_rotation)}, artifacts: {shown(scenario.artifacts_path)}"
    changed = [f"- changed under test: {shown(show_change(change))}" for change in scenario.subject_changes]
    notes = [fence(redact(scenario.notes))] if scenario.notes.strip() else []
    return "\n\n".join([title, *notes, *(["\n".join(changed)] if changed else []), owner])
