"""A run that was recorded earlier, read back from its folder: what is good of it, and everything that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import ValidationError

from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.reporting.report import Report, ScenarioReport
from pytest_specbench.store.runs.run_folder import (
    REPORT,
    RecordError,
    artifact_problems,
    first_of,
    misplaced,
    read_file,
    read_record,
    record_paths,
)


@dataclass(frozen=True)
class Problem:
    """Something that is missing, altered or corrupt."""

    what: str
    """A sentence that names the file."""
    scenario_id: str | None = None
    """The scenario that it spoils; None: the run as a whole."""


@dataclass(frozen=True)
class Recorded:
    """A run folder as it was found."""

    folder: Path
    report: Report | None
    """report.json; None when it cannot be used."""
    runs: tuple[BenchmarkRun, ...]
    """The benchmark runs that are whole, every attempt, in the order of scenarios and attempts."""
    problems: tuple[Problem, ...]

    @property
    def run_id(self) -> UUID | None:
        """The run's id, as far as anything says it."""
        if self.report is not None:
            return self.report.run_id
        return self.runs[0].run_id if self.runs else None

    def last_attempts(self) -> dict[str, BenchmarkRun]:
        """The benchmark runs that count, by scenario; none of a scenario with a problem."""
        spoilt = {problem.scenario_id for problem in self.problems}
        found = {run.scenario_id: run for run in self.runs}
        return {scenario_id: run for scenario_id, run in found.items() if scenario_id not in spoilt}

    def entries(self) -> dict[str, ScenarioReport]:
        """The report's entries, by scenario."""
        return {} if self.report is None else {entry.scenario_id: entry for entry in self.report.scenarios}


def read_run(folder: Path) -> Recorded:
    """Read a run folder, and hold everything that its records name against what is there."""
    problems: list[Problem] = []
    report = None
    try:
        report = Report.model_validate_json(read_file(folder / REPORT))
    except RecordError as error:
        problems.append(Problem(str(error)))
    except ValidationError as error:
        problems.append(Problem(f"{folder / REPORT}: not a valid report: {first_of(error)}"))
    runs: list[BenchmarkRun] = []
    for path in record_paths(folder):
        run, found = check_record(folder, path)
        scenario_id = path.parent.relative_to(folder).parts[0]
        problems += [Problem(what, scenario_id) for what in found]
        if run is not None and not found:
            runs.append(run)
    ids = {run.run_id for run in runs} | ({report.run_id} if report is not None else set())
    if len(ids) > 1:
        problems.append(Problem(f"{folder}: its records are of several runs: {', '.join(sorted(map(str, ids)))}"))
    read = Recorded(folder, report, tuple(runs), tuple(problems))
    return Recorded(folder, report, tuple(runs), (*problems, *_disagreements(read)))


def check_record(folder: Path, path: Path) -> tuple[BenchmarkRun | None, list[str]]:
    """One record of a run folder, and everything that is wrong with it and with its artifacts."""
    try:
        run, _ = read_record(path)
    except RecordError as error:
        return None, [str(error)]
    wrong = misplaced(folder, path, run)
    return run, [wrong] if wrong else artifact_problems(folder, run)


def _disagreements(read: Recorded) -> list[Problem]:
    """What report.json says and the records do not, or otherwise."""
    spoilt = {problem.scenario_id for problem in read.problems}
    by_place = {run.artifacts_path: run for run in read.runs}
    found = []
    for scenario_id, entry in read.entries().items():
        run = by_place.get(entry.artifacts_path)
        if scenario_id in spoilt:
            continue  # told already
        if run is None:
            found.append(Problem(f"{read.folder / entry.artifacts_path / 'run.json'}: it is missing", scenario_id))
        elif (entry.status, entry.cause, entry.executed_at) != (run.status, run.cause, run.executed_at):
            what = f"{read.folder / REPORT}: {scenario_id}: it says {entry.status} ({entry.cause}), and its record "
            found.append(Problem(f"{what}{run.status} ({run.cause})", scenario_id))
    return found
