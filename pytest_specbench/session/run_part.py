"""The part of a run that one session is: the whole of a new run, or what finishes one that was cut short."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_specbench.core.errors import UsageError
from pytest_specbench.core.settings import Settings

if TYPE_CHECKING:
    from pytest_specbench.core.records import BenchmarkRun, KeptSandbox
    from pytest_specbench.recording.run_start import RunStart
    from pytest_specbench.reporting.report import Resumed
    from pytest_specbench.scenarios.loader import LoadedScenario

IDLE_SEC = 20.0
"""How long the workers of a controller that died may take to notice."""


class RunPart:
    """Takes the run over where it is resumed, in the controller; raises pytest.UsageError when that cannot be."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._settings = settings
        self._controls = not hasattr(config, "workerinput")
        self._start: RunStart | None = None
        self._once: set[str] = set()
        if settings.resume is not None and self._controls and not config.getoption("collectonly"):
            if settings.lock or settings.lock_check:
                raise pytest.UsageError("--specbench-resume runs scenarios, and --specbench-lock runs nothing")
            try:
                self._take_over()
            except UsageError as error:
                raise pytest.UsageError(str(error)) from None

    @property
    def sandbox(self) -> tuple[str, str] | None:
        """What `auto` became in the earlier parts, and why; None where nothing was chosen yet."""
        return None if self._start is None else self._start.sandbox

    def header(self) -> list[str]:
        """Which run is resumed, in a line."""
        if self._start is None or self._settings.resume is None:
            return []
        first = f"{self._start.parts[0]:%Y-%m-%d %H:%M:%S} UTC"
        return [f"specbench: resumes run {self._start.run_id}, begun {first} (part {len(self._start.parts)})"]

    def begin(self, selected: tuple[str, ...], sandbox: tuple[str, str] | None) -> None:
        """Write down what a new run was asked to do, once, before anything of it runs. Raises pytest.UsageError."""
        if self._start is not None or not self._controls:
            return
        from pytest_specbench.session.ownership import begin_run

        try:
            self._start = begin_run(self._settings, selected, sandbox)
        except OSError as error:
            raise pytest.UsageError(f"the run folder {self._settings.run_folder} cannot be written: {error}") from None
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None

    def settings_for(self, loaded: LoadedScenario, settings: Settings) -> Settings:
        """The settings for a run of the scenario: whoever runs it a second time in this session wants it run again."""
        scenario_id = loaded.scenario.scenario_id
        again = scenario_id in self._once
        self._once.add(scenario_id)
        return replace(settings, resume=None) if again else settings

    def kept(self) -> tuple[KeptSandbox, ...]:
        """The sandboxes that the run has left for a look."""
        if not self._settings.keep or not self._controls:
            return ()
        from pytest_specbench.recording.trial_file import kept_in

        return kept_in(self._settings.run_folder)

    def facts(self, runs: Iterable[BenchmarkRun]) -> Resumed | None:
        """What the report says of the earlier parts; None for a run that was not resumed."""
        if self._start is None or self._settings.resume is None:
            return None
        from pytest_specbench.reporting.report import Resumed

        there = list(runs)
        return Resumed(
            part=len(self._start.parts),
            first_started_at=self._start.parts[0],
            scenarios=tuple(run.scenario_id for run in there if run.resumed),
            trials=sum(trial.resumed for run in there if not run.resumed for trial in run.trials),
        )

    def end(self) -> None:
        """Let go of the run, which has ended in order. May be called again."""
        if self._start is not None:
            from pytest_specbench.session.ownership import release

            release(self._settings.run_folder)
            self._start = self._start.model_copy(update={"owner": None})

    def _take_over(self) -> None:
        from pytest_specbench.reporting.progress import ProgressView
        from pytest_specbench.session.ownership import release, take_over

        settings = self._settings
        start = take_over(settings)
        progress = settings.output / "progress" / settings.run_id
        view = ProgressView(progress)
        view.wait_until_idle(IDLE_SEC)
        working = view.processes()
        if working:
            release(settings.run_folder)
            raise UsageError(
                f"--specbench-resume: workers of the run {start.run_id} are still at work: processes "
                f"{', '.join(map(str, working))} on this machine",
                hint="wait for them, or end them, then resume",
            )
        shutil.rmtree(progress, ignore_errors=True)  # what dead processes said last
        self._start = start
