"""Scenarios as pytest items: collection errors point at file, line and key; running one is the gate's work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_specbench.core.errors import SpecbenchError
from pytest_specbench.core.status import EXIT_BLOCKED, Status
from pytest_specbench.core.text import visible

if TYPE_CHECKING:
    from pytest_specbench.core.records import BenchmarkRun
    from pytest_specbench.session.session import ScenarioSession


class ScenarioRegressionError(AssertionError):
    """The scenario got worse, or failed. Its text is the report of the benchmark run."""


class ScenarioBlockedError(Exception):
    """Nothing could be judged. Its text is the report of the benchmark run."""


class ScenarioFile(pytest.File):
    """A `*.scenario.yaml` file; holds one item."""

    state: ScenarioSession

    @classmethod
    def for_session(cls, parent: pytest.Collector, path: Path, state: ScenarioSession) -> ScenarioFile:
        """The collector of `path`; what it collects reports to `state`."""
        # A name that steers a terminal is refused when it is loaded; pytest itself would print it as it is.
        shown = None if str(path).isprintable() else visible(os.path.relpath(path, parent.config.rootpath))
        own: dict[str, Any] = {} if shown is None else {"nodeid": shown}
        file: ScenarioFile = cls.from_parent(parent, path=path, **own)
        file.state = state
        return file

    def collect(self) -> Iterator[pytest.Item]:
        """The scenario in the file. An invalid file, or a second one with the same id, is a collection error."""
        try:
            loaded = self.state.load(self.path)
            self.state.selection.claim(loaded)
        except SpecbenchError as error:
            raise self.CollectError(str(error)) from None
        yield ScenarioItem.from_parent(self, name=loaded.scenario.scenario_id)


class ScenarioItem(pytest.Item):
    """One scenario. The file is read again when it runs, so that ten thousand collected ones stay small."""

    parent: ScenarioFile

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.benchmark_run: BenchmarkRun | None = None

    @property
    def scenario_id(self) -> str:
        """What baselines, artifacts and reports are keyed on; never the node id."""
        return self.name

    def runtest(self) -> None:
        """Run the scenario and fail on a regression."""
        state = self.parent.state
        if state.settings.approve:
            state.approve(self)
            return
        if state.locking:
            state.lock(self)
            return
        self.benchmark_run = run = state.run(self.path)
        from pytest_specbench.reporting.failure import failure_text  # here, since collecting needs no report

        if run.status is Status.REGRESSION:
            raise ScenarioRegressionError(failure_text(run, state.settings.run_folder))
        if run.exit_code == EXIT_BLOCKED:  # blocked, or provisional where an approval is owed
            raise ScenarioBlockedError(failure_text(run, state.settings.run_folder))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The report of the benchmark run; a traceback only for defects of ours."""
        if isinstance(excinfo.value, (ScenarioRegressionError, ScenarioBlockedError, SpecbenchError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, first line and title."""
        return self.path, 0, f"scenario {self.scenario_id}"
