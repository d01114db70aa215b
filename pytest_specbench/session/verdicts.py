"""What the scenarios of a session gave: a verdict each, and a blocked one for each that owes its own."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from pytest_specbench.core.errors import SpecbenchError
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Status
from pytest_specbench.recording.attempts import attempts
from pytest_specbench.scenarios.loader import SUFFIXES, load_scenario


class Verdicts:
    """Takes in pytest's reports where the session is controlled, and counts what they say."""

    def __init__(self) -> None:
        self.runs: dict[str, BenchmarkRun] = {}
        """Node id -> the last attempt."""
        self.started: dict[str, None] = {}
        """Node ids of the scenarios that owe a verdict, in the order in which they started."""
        self.unknown: list[str] = []
        """Node ids that gave no verdict and whose scenario cannot be read any more."""
        self.problems: list[str] = []
        """What could not be collected."""
        self.broken = False
        """A scenario file is among that."""
        self.failed = 0
        """Reports of scenarios that failed, as pytest counts them."""
        self._died: dict[str, str] = {}

    def received(self, report: pytest.TestReport) -> BenchmarkRun | None:
        """Take in the benchmark run that a report carries, and return it as it counts; None when it carries none."""
        self.failed += report.failed and report.nodeid in self.started
        text = getattr(report, "specbench", None)
        if text is None:
            if report.failed and report.nodeid in self.started and report.nodeid not in self.runs:
                self._died[report.nodeid] = report.longreprtext
            return None
        run, before = BenchmarkRun.model_validate_json(text), self.runs.get(report.nodeid)
        if before is not None:
            flaky = before.flaky or (before.status, before.cause) != (run.status, run.cause)
            mark = "flaky; " if flaky else ""
            notes = f"{run.notes}\n{mark}attempt before this one: {before.status}, {before.cause}".lstrip()
            run = run.model_copy(update={"flaky": flaky, "notes": notes})
        self.runs[report.nodeid] = run
        return run

    def in_order(self) -> list[BenchmarkRun]:
        """The runs in the order in which their scenarios started."""
        order = [*self.started, *self.runs]
        return [self.runs[nodeid] for nodeid in dict.fromkeys(order) if nodeid in self.runs]

    def collected(self, report: pytest.CollectReport) -> None:
        """Remember what could not be collected."""
        if report.failed:
            self.broken |= report.nodeid.endswith(SUFFIXES)
            self.problems.append(f"{report.nodeid}: {report.longreprtext}")

    def complete(self, root: Path, settings: Settings, since: datetime) -> None:
        """Give every scenario that started and gave no verdict a blocked one, with the reason as far as it is known.
        `since` is when this session began: what is older is an earlier part's, when the run was resumed.
        """
        for nodeid in self.started:
            if nodeid in self.runs:
                continue
            why = self._died.get(nodeid, "the run ended before it gave a verdict")
            try:
                loaded = load_scenario(root / nodeid.partition("::")[0])
                from pytest_specbench.gate.benchmark_record import (
                    no_verdict,  # here: a controller of workers runs no gate
                )

                written = _written(settings, loaded.scenario.scenario_id, since)
                self.runs[nodeid] = written or no_verdict(loaded, settings, why)
            except (SpecbenchError, OSError):
                self.unknown.append(nodeid)  # its file is gone: the report lists it by its node id


def _written(settings: Settings, scenario_id: str, since: datetime) -> BenchmarkRun | None:
    """The record that an item wrote before it was cut off. Only a blocked one counts: a verdict that never arrived as a
    report may be anybody's file.
    """
    for name in attempts(settings.run_folder, scenario_id)[:1]:
        try:
            run = BenchmarkRun.model_validate_json((settings.run_folder / name / "run.json").read_bytes())
        except (OSError, ValidationError):
            return None
        return run if run.status is Status.BLOCKED and run.executed_at >= since else None
    return None
