"""The work of `specbench report`: what is recorded, held against what is there, and shown."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_specbench.commands.place import Place, place_here, told
from pytest_specbench.core.approval.audit import Trail
from pytest_specbench.core.approval.eligibility import PASSING_RUNS
from pytest_specbench.core.errors import BlockedError, RunNotFoundError
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.status import EXIT_NOT_FOUND, EXIT_PASS
from pytest_specbench.reporting.recorded import Recorded, check_record, read_run
from pytest_specbench.reporting.summary import Asked, Shown, SummaryReport, summarise_runs, summary_json
from pytest_specbench.reporting.summary_text import render_summary_markdown, render_summary_table
from pytest_specbench.reporting.text import printable_lines, wants_color
from pytest_specbench.store.baselines.audit import read_trail
from pytest_specbench.store.runs.history import History, as_run_folder
from pytest_specbench.store.runs.run_folder import Row, read_rows
from pytest_specbench.store.trees import FolderTree


def run(arguments: argparse.Namespace) -> int:
    """Print the report on stdout, and whatever is wrong on stderr; 3 when something was."""
    place = place_here({"output": arguments.output, "baselines": arguments.baselines})
    try:
        with told():
            shown, problems, asked = _collect(place, arguments)
    except RunNotFoundError as error:
        sys.stderr.write(f"specbench: {error}\n")
        return EXIT_NOT_FOUND
    trail, wrong = _trail(place)
    problems += wrong
    report = summarise_runs(shown, trail, problems, asked)
    for problem in problems:
        sys.stderr.write("\n".join(["specbench: " + printable_lines(problem)[0], *printable_lines(problem)[1:]]) + "\n")
    if report is not None:
        sys.stdout.write(_text(report, arguments.format))
    return EXIT_NOT_FOUND if problems else EXIT_PASS


def _collect(place: Place, arguments: argparse.Namespace) -> tuple[list[Shown], list[str], Asked]:
    """What is to be shown, and what cannot be. Raises RunNotFoundError."""
    path = as_run_folder(arguments.run) if arguments.run and os.sep in arguments.run else None
    if path is not None and not (place.output / "runs").is_dir():
        # A run that was brought here by itself has no history around it.
        return _one_run(read_run(path), None, place, arguments)
    with History.open(place.output) as history:
        if arguments.run:
            return _one_run(read_run(path or history.find(arguments.run)), history, place, arguments)
        rows = history.latest(arguments.dataset)
        if not rows:
            raise RunNotFoundError(
                f"no run of dataset {arguments.dataset!r} is recorded" if arguments.dataset else "no run is recorded",
                where=str(place.output),
                hint="specbench run",
            )
        shown: list[Shown] = []
        problems: list[str] = []
        for row in rows:
            one, found = _latest(row, history, place)
            problems += _with_hint(found, row.scenario_id)
            shown += [one] if one is not None else []
        return shown, problems, Asked(arguments.dataset, arguments.deltas)


def _latest(row: Row, history: History, place: Place) -> tuple[Shown | None, list[str]]:
    path = history.path_of(row)
    if row.problem is not None:
        return None, [row.problem]
    folder = path.parents[len(Path(row.path).parts) - 1]
    found, problems = check_record(folder, path)
    if found is None or problems:
        return None, problems
    flaky = row.attempt > 0 and len({(one.status, one.cause) for one in _attempts(folder, row.scenario_id)}) > 1
    recorded = _recorded(history, found)
    return Shown(found, _relative(folder, place), flaky=flaky, recorded=recorded), []


def _recorded(history: History, one: BenchmarkRun) -> list[BenchmarkRun]:
    """The runs to look for passing ones in."""
    return history.runs(one.scenario_id, like=one, limit=PASSING_RUNS, blocked=False, attempts=True)


def _attempts(folder: Path, scenario_id: str) -> list[Row]:
    return [row for row in read_rows(folder) if row.scenario_id == scenario_id]


def _one_run(
    read: Recorded, history: History | None, place: Place, arguments: argparse.Namespace
) -> tuple[list[Shown], list[str], Asked]:
    entries = read.entries()
    shown = []
    good = read.last_attempts()
    order = [*entries, *(name for name in good if name not in entries)]
    for scenario_id in order:
        one = good.get(scenario_id)
        if one is None or not _is_of(one, arguments.dataset):
            continue
        recorded = [] if history is None else _recorded(history, one)
        shown.append(Shown(one, _relative(read.folder, place), entries.get(scenario_id), recorded=recorded))
    if arguments.dataset and not shown and not read.problems:
        raise RunNotFoundError(f"the run has no scenario of dataset {arguments.dataset!r}", where=str(read.folder))
    problems = [text for problem in read.problems for text in _with_hint([problem.what], problem.scenario_id)]
    if read.report is not None:
        problems += [f"{name}: started and gave no verdict" for name in read.report.missing_verdicts]
    code = None if read.report is None else (read.report.exit_code, read.report.exit_reason)
    return shown, problems, Asked(arguments.dataset, arguments.deltas, read.run_id, code)


def _with_hint(problems: Iterable[str], scenario_id: str | None) -> list[str]:
    """Each problem with the way to a run that has it not."""
    command = "specbench run" + (f" --scenarios {scenario_id}" if scenario_id else "")
    return [f"{problem}\n  next: {command}, which makes a new run" for problem in problems]


def _is_of(one: BenchmarkRun, dataset: str | None) -> bool:
    if dataset is None:
        return True
    exact = dataset if "==" in dataset else "==".join(dataset.rsplit("@", 1))
    return one.dataset_version == exact or one.dataset_version.startswith(f"{dataset}==")


def _relative(folder: Path, place: Place) -> str:
    inside = folder.is_relative_to(place.root)
    return (folder.relative_to(place.root) if inside else folder).as_posix()


def _trail(place: Place) -> tuple[Trail, list[str]]:
    """The audit trail, and why it cannot be trusted."""
    try:
        trail = read_trail(FolderTree(place.baselines))
    except BlockedError as error:
        return Trail(), [str(error)]
    wrong = [f"{place.baselines / 'audit' / problem.name}: {problem.what}" for problem in trail.problems]
    hint = "\n  next: specbench baseline verify"
    return (Trail() if wrong else trail), [problem + hint for problem in wrong]


def _text(report: SummaryReport, form: str) -> str:
    if form == "json":
        return _json(summary_json(report)) + "\n"
    if form == "markdown":
        return render_summary_markdown(report)
    color = wants_color(os.environ, is_tty=sys.stdout.isatty())
    width = shutil.get_terminal_size((120, 24)).columns
    encoding = sys.stdout.encoding or "utf-8"
    return "\n".join(render_summary_table(report, width=width, color=color, encoding=encoding)) + "\n"


def _json(content: Any) -> str:
    return json.dumps(content, indent=2)
