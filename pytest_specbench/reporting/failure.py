"""What pytest shows for a scenario that did not pass: plain text, no traceback, nothing that steers a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pytest_specbench.core.metrics import METRICS
from pytest_specbench.core.records import BenchmarkRun, CheckResult, Scalar, TrialRecord
from pytest_specbench.core.status import EXIT_BLOCKED, Outcome
from pytest_specbench.reporting.text import aligned, printable, printable_lines
from pytest_specbench.reporting.values import UNKNOWN, show_cause, show_change, show_delta, show_status, show_value

TAIL_LINES = 20
"""How much of the end of post-test.txt is shown."""

_TAIL_BYTES = 16_384
_PROBLEMS = 20


def failure_text(run: BenchmarkRun, folder: Path | str) -> str:
    """What to show for a benchmark run that is not green; the end of post-test.txt is read from the run folder."""
    tail = _read_end(Path(folder, run.artifacts.post_test)) if run.artifacts.post_test else ""
    if run.exit_code == EXIT_BLOCKED:
        return blocked_text(run, folder, tail=tail)
    return regression_text(run, folder, tail=tail)


def regression_text(run: BenchmarkRun, folder: Path | str, *, tail: str = "") -> str:
    """Why a scenario failed: reason, metrics, failing checks, subject, artifacts, next command.

    `folder` is the run folder, `tail` the end of post-test.txt, of which the last 20 lines are shown.
    """
    failed = [trial for trial in run.trials if not trial.repeated and trial.outcome is Outcome.FAILURE]
    lines = _head(run)
    if run.comparison.baseline_id is not None:
        lines += _section(_against(run), _metrics(run))
    for trial in failed:
        lines += _section(_trial_title(trial, run.notes), _checks(trial.checks))
    lines += _section("end of post-test.txt:", _last(tail))
    lines += _section(*_subject(run))
    return "\n".join([*lines, *_section("artifacts:", _artifacts(run, folder)), *_next(run)])


def blocked_text(run: BenchmarkRun, folder: Path | str, *, tail: str = "") -> str:
    """Why a scenario could not be judged: reason, attempts that failed, artifacts, next command.

    `folder` is the run folder, `tail` the end of post-test.txt, which says something when the verifier broke.
    """
    lines = _head(run)
    for trial in run.trials:
        if trial.outcome is Outcome.INFRASTRUCTURE:
            lines += _section(_trial_title(trial, run.notes), _checks(trial.checks))
    lines += _section("difference:", [printable(line) for line in run.comparison.diff])
    lines += _section("end of post-test.txt:", _last(tail))
    return "\n".join([*lines, *_section("artifacts:", _artifacts(run, folder)), *_next(run)])


def _head(run: BenchmarkRun) -> list[str]:
    status = show_status(run.status, run.comparison.baseline_id)
    title = f"{run.scenario_id} ({run.display_name}): {status}, {show_cause(run.cause)}"
    return [printable(title), *(f"  {line}".rstrip(" ") for line in printable_lines(run.notes))]


def _section(title: str, lines: Iterable[str]) -> list[str]:
    """A blank line, the title and the lines, indented; nothing where a title announces lines and there are none."""
    body = [f"  {line}".rstrip(" ") for line in lines]
    return ["", title, *body] if body or not title.endswith(":") else []


def _read_end(path: Path) -> str:
    """The end of a text file, enough for the lines that are shown; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _against(run: BenchmarkRun) -> str:
    return f"against baseline {printable(run.comparison.baseline_id or UNKNOWN)}:"


def _metrics(run: BenchmarkRun) -> list[str]:
    """A row for every metric that is tracked, or was compared."""
    rows = [("metric", "baseline", "measured", "delta", "threshold", "")]
    notes: list[str] = []
    for item in run.comparison.metrics:
        if not item.tracked and item.result == "not compared":
            continue
        limit, sign = item.threshold_percent, "+" if METRICS[item.name].more_is_worse else "-"
        rows.append(
            (
                printable(item.name) + ("" if item.tracked else " (not tracked)"),
                show_value(item.name, item.baseline),
                show_value(item.name, item.measured),
                show_delta(item.delta_percent),
                UNKNOWN if limit is None else f"{sign}{limit:g}%",
                item.result,
            )
        )
        notes += [printable(f"{item.name}: {item.reason}")] if item.reason else []
    return [*aligned(rows), *notes]


def _trial_title(trial: TrialRecord, notes: str) -> str:
    """Number, cause and reason of a trial; without the reason where the notes have just said it."""
    repeated = ", repeated" if trial.repeated else ""
    reason = "" if trial.reason in notes else f": {trial.reason}"
    return printable(f"trial {trial.index}: {show_cause(trial.cause)}{repeated}{reason}")


def _checks(checks: Sequence[CheckResult]) -> list[str]:
    lines: list[str] = []
    for check in checks:
        if check.passed:
            continue
        lines.append(printable(f"failed: {check.name}"))
        lines += [f"  - {printable(problem)}" for problem in check.problems[:_PROBLEMS]]
        if len(check.problems) > _PROBLEMS:
            lines.append(f"  - and {len(check.problems) - _PROBLEMS} more, in post-test.txt")
        if check.files:
            lines.append(printable(f"  looked at: {', '.join(check.files)}"))
    return lines


def _last(tail: str) -> list[str]:
    return [f"| {line}" for line in printable_lines(tail)[-TAIL_LINES:]]


def _subject(run: BenchmarkRun) -> tuple[str, list[str]]:
    """What of the subject changed since the baseline; without a baseline, what it is."""
    if run.comparison.baseline_id is None:
        now: Mapping[str, Scalar] = run.fingerprint.subject if run.fingerprint else {}
        return "under test:", [f"{printable(name)}: {_scalar(value)}" for name, value in now.items()]
    changed = [printable(show_change(change)) for change in run.comparison.subject_changes]
    return "changed under test since the baseline:", changed or ["nothing that the fingerprint holds"]


def _scalar(value: Scalar) -> str:
    return UNKNOWN if value is None else printable(str(value))


def _artifacts(run: BenchmarkRun, folder: Path | str) -> list[str]:
    paths = {"folder": run.artifacts_path, **run.artifacts.model_dump(exclude_none=True)}
    return aligned([(name.replace("_", " "), printable(str(Path(folder, path)))) for name, path in paths.items()])


def _next(run: BenchmarkRun) -> list[str]:
    """The command to run next; after the one that the notes name, where they name one."""
    named = any(line.lstrip(" ").startswith("next:") for line in run.notes.split("\n"))
    return ["", f"{'then' if named else 'next'}: {rerun_command(run)}"]


def rerun_command(run: BenchmarkRun) -> str:
    """The command that runs the scenario again as it ran."""
    words = ["run", "--scenarios", run.scenario_id, "--dataset", run.dataset_version]
    if run.fingerprint is not None:
        asked = {"--sandbox": "sandbox", "--agent": "agent", "--approval-mode": "approval_mode"}
        found = {option: run.fingerprint.instrument.get(name) for option, name in asked.items()}
        words += [word for option, value in found.items() if value is not None for word in (option, str(value))]
    return printable(shlex.join(["specbench", *words]))
