"""What a pytest session knows of its scenarios: which were asked for, which started, what they gave, and the report."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_specbench.core.errors import SpecbenchError, UsageError
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import EXIT_BLOCKED, EXIT_REFUSED
from pytest_specbench.options import any_given, read_settings
from pytest_specbench.sandboxes.choice import Choice, choose_sandbox
from pytest_specbench.scenarios.loader import LoadedScenario, load_scenario
from pytest_specbench.session.ending import Ending
from pytest_specbench.session.run_part import RunPart
from pytest_specbench.session.selection import Selection
from pytest_specbench.session.signals import TerminationAsInterrupt
from pytest_specbench.session.verdicts import Verdicts
from pytest_specbench.session.words import shorten_summary
from pytest_specbench.verifiers import CHECKS

if TYPE_CHECKING:
    from pytest_specbench.reporting.live import ProgressThread
    from pytest_specbench.reporting.progress import ProgressView
    from pytest_specbench.store.trusted.authority import Authority

ALTERED = 10
"""How many sentences about what does not count the header has."""
INTERRUPTED_SEC = 5.0
"""How long workers that were interrupted may take to clean up; CI services kill after 7.5 s."""


class ScenarioSession:
    """Collects, selects and runs scenarios in a worker; takes in verdicts and reports in the controller.

    Each imports what only it needs when it needs it: collecting runs no gate, and a controller of workers neither.
    """

    def __init__(self, config: pytest.Config) -> None:
        started_at = datetime.now(UTC)
        self.config = config
        self.worker = hasattr(config, "workerinput")
        self.settings: Settings = read_settings(config)
        self._choice: Choice | None = None
        self.known_checks = CHECKS.names()
        self.selection = Selection(config, self.settings)
        self.verdicts = Verdicts()
        self._termination = TerminationAsInterrupt()
        self._reaped = False
        self._usage_error = ""
        self._live: ProgressThread | None = None
        self._said: list[str] = []
        self._part = RunPart(config, self.settings)
        self._ending = Ending(
            config,
            selection=self.selection,
            verdicts=self.verdicts,
            part=self._part,
            authority=lambda: self.authority,
            started_at=started_at,
        )
        if self._part.sandbox is not None and self.settings.sandbox == "auto":
            self._take(Choice(*self._part.sandbox))

    @cached_property
    def _view(self) -> ProgressView:
        from pytest_specbench.reporting.progress import ProgressView

        return ProgressView(self._progress_folder)

    @property
    def _progress_folder(self) -> Path:
        return self.settings.output / "progress" / self.settings.run_id

    # -- before the first scenario ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Take SIGTERM for an interruption, and keep stdout for the report when it is JSON: everything else that pytest
        prints goes to stderr. May be called again.
        """
        self._termination.install()
        if str(self.settings.root) not in sys.path:
            # Only `python -m` looks there for an agent or a check that is `module:name`. At the end: a file of the
            # project stands for no installed module.
            sys.path.append(str(self.settings.root))
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if self.settings.format == "json" and reporter is not None and reporter._tw._file is not sys.stderr:  # noqa: SLF001 - pytest has no public way
            from _pytest.config import create_terminal_writer

            reporter._tw = create_terminal_writer(self.config, sys.stderr)  # noqa: SLF001 - as above

    def header(self) -> list[str]:
        """What the session will do, in a line."""
        settings, choice = self.settings, self.sandbox_choice()
        return [
            *self._part.header(),
            *self._held(),
            f"specbench: dataset {settings.dataset or 'of each scenario'}",
            f"specbench: approval mode {settings.approval_mode} (from {settings.sources['approval_mode']})",
            f"specbench: sandbox {choice[0]} ({choice[1]})",
        ]

    def _held(self) -> list[str]:
        held = self.settings.held
        if held is None:
            return []
        more = f"specbench: ... and {len(held.altered) - ALTERED} more, in the report"
        return [
            f"specbench: held against {held.ref} (commit {held.commit[:12]}): what judges is from there",
            *(f"specbench: {sentence}" for sentence in held.altered[:ALTERED]),
            *([more] if len(held.altered) > ALTERED else []),
        ]

    def sandbox_choice(self) -> tuple[str, str]:
        """Name of the sandbox and why; decided once in a run, by the controller when there is one."""
        if self._choice is None:
            given = getattr(self.config, "workerinput", {}).get("specbench_sandbox")
            self._take(Choice(*given) if given else choose_sandbox(self.settings.sandbox))
        assert self._choice is not None  # noqa: S101 - for the type checker: it was taken just now
        return self._choice.name, self._choice.reason

    def _take(self, choice: Choice) -> None:
        self._choice = choice
        self.settings = replace(self.settings, sandbox=choice.name, sandbox_reason=choice.reason)

    # -- running -------------------------------------------------------------------------------------------------------

    def loaded(self, path: Path) -> tuple[LoadedScenario, Settings]:
        """The scenario in the file, and the settings with the sandbox chosen."""
        self.sandbox_choice()
        return self.load(path), self.settings

    def load(self, path: Path) -> LoadedScenario:
        """The scenario in a file. Raises ScenarioError, and UsageError where a ref is trusted and the session does not
        run there, as unit tests do that a variable finds.
        """
        if self.settings.trusted_ref is not None and self.settings.held is None:
            raise UsageError(
                f"--specbench-trusted-ref from {self.settings.sources['trusted_ref']}: this session does not run where "
                "the ref is laid out",
                hint="start it with `specbench run --trusted-ref REF`",
            )
        loaded = load_scenario(path, known_checks=self.known_checks, data=self.settings.data_of(path))
        return loaded if self.settings.held is None else replace(loaded, given=self.settings.called(path))

    def run(self, path: Path) -> BenchmarkRun:
        """Run the scenario in the file through the gate."""
        from pytest_specbench.gate.recipe import run_benchmark
        from pytest_specbench.gate.resuming import finish_benchmark
        from pytest_specbench.reporting.progress import Heartbeat, forget_the_dead
        from pytest_specbench.sandboxes.reaping import reap

        loaded, _ = self.loaded(path)
        if not self._reaped:
            self._reaped = True
            with suppress(SpecbenchError):  # a sandbox that nobody knows is the gate's to tell
                reap(self.settings.sandbox)
            forget_the_dead(self._progress_folder.parent)
        self.about_to_run()
        scenario_id, settings = loaded.scenario.scenario_id, self._part.settings_for(loaded, self.settings)
        with Heartbeat(self._progress_folder, scenario_id) as heartbeat:
            run = run_benchmark if settings.resume is None else finish_benchmark
            return run(loaded, settings, heartbeat.update, lambda: self.authority)

    @cached_property
    def authority(self) -> Authority:
        """What scenarios are held against. Raises BlockedError when it cannot be told."""
        from pytest_specbench.store.trusted.authority import authority

        return authority(self.settings)

    def about_to_run(self) -> None:
        """What is selected is known, and nothing of it has run yet: write down what the run was asked to do."""
        if not (self.worker or self.runs_nothing or self.config.getoption("collectonly")):
            # A controller of workers without an option on its command line leaves the choice to them.
            chosen = None if self.config.pluginmanager.has_plugin("dsession") else self.sandbox_choice()
            if self._choice is not None:
                chosen = self._choice.name, self._choice.reason
            try:
                self._part.begin(tuple(self.selection.kept), chosen)
            except pytest.UsageError:
                self.selection.kept = []  # none of it runs, so that none of it owes a verdict
                raise

    @property
    def locking(self) -> bool:
        """The session deals with lock files, and runs nothing."""
        return self.settings.lock or self.settings.lock_check

    def lock(self, item: pytest.Item) -> None:
        """Write or check the lock entry of the item's scenario, and say what was written."""
        from pytest_specbench.gate.parity import lock_scenario

        item.user_properties.append(("specbench_said", lock_scenario(*self.loaded(item.path))))

    @property
    def runs_nothing(self) -> bool:
        """The session deals with lock files or baselines."""
        return self.locking or self.settings.approve

    def approve(self, item: pytest.Item) -> None:
        """Make the run that the settings name the baseline of the scenario. Raises what an approval raises."""
        from pytest_specbench.approvals.approving import approve_as_asked
        from pytest_specbench.importing import with_imported_run

        settings = with_imported_run(self.settings, item.name)
        # Properties travel to the controller, which prints them.
        item.user_properties.append(("specbench_said", approve_as_asked(item.name, settings)))

    def quiet(self) -> AbstractContextManager[None]:
        """Nothing of the progress is to be seen in here, so that pytest can print."""
        return nullcontext() if self._live is None else self._live.paused()

    def _watch(self) -> None:
        """Show progress from now on."""
        from pytest_specbench.reporting.live import progress_on

        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if self._live is None and terminal is not None and not self.worker:
            stream = terminal._tw._file  # noqa: SLF001 - the very stream pytest writes to, which has no public name

            def write_line(line: str) -> None:
                terminal.ensure_newline()
                terminal.write_line(line)

            # With -s the output of tests and ours share a terminal, and a live line would land in the middle of it.
            plain = self.config.getoption("capture") == "no"
            self._live = progress_on(self._view, stream, write_line, environ={} if plain else os.environ)
            self._live.start()

    # -- verdicts, in the controller -----------------------------------------------------------------------------------

    def scenario_started(self, nodeid: str) -> None:
        """A scenario began: from now on it owes a verdict."""
        self.start()
        self.verdicts.started[nodeid] = None
        self._watch()

    def received(self, report: pytest.TestReport) -> None:
        """Take in what a report carries."""
        if report.when == "call":
            self._said += [str(text) for name, text in report.user_properties if name == "specbench_said"]
        run = self.verdicts.received(report)
        if run is not None:
            self._view.forget(run.scenario_id)
            if self._choice is None:  # without an option on the command line, the workers chose
                self._take(Choice(*getattr(report, "specbench_sandbox", (self.settings.sandbox, ""))))

    def worker_ended(self, output: Mapping[str, Any]) -> None:
        """Take in what a worker could not say itself."""
        self._usage_error = output.get("specbench_usage_error", self._usage_error)

    def add_to(self, json_report: dict[str, Any]) -> None:
        """Put our report into another tool's."""
        if self._ending.report is not None:
            from pytest_specbench.reporting.report import report_json

            json_report["specbench"] = report_json(self._ending.report)

    def finish(self, session: pytest.Session) -> None:
        """Write the report, and make the exit status tell blocked from regression. Never masks pytest's own trouble."""
        self.close()
        if self._usage_error and not self.worker:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
            return
        if self.runs_nothing and session.exitstatus == pytest.ExitCode.TESTS_FAILED:
            session.exitstatus = EXIT_BLOCKED if self.locking else EXIT_REFUSED
        if self.worker:
            return
        if self.runs_nothing or self.config.getoption("collectonly"):
            return
        verdicts = self.verdicts
        if verdicts.started or verdicts.runs or verdicts.broken or self.selection.kept:
            self._ending.make_report(session, self.settings)
            self._part.end()

    def print_report(self) -> None:
        """What stands outside of pytest's own output: blocked scenarios on stderr, and on stdout the report as JSON."""
        self._ending.print_report(self.settings)

    def print_summary(self, terminal: Any) -> None:
        """The table at the end."""
        if self._usage_error:
            terminal.write_line(f"ERROR: {self._usage_error}", red=True)
        shorten_summary(terminal.stats)
        for text in self._said:
            terminal.write_line(text)
        if not any_given(self.config) and self._choice is not None and not self.runs_nothing:
            for line in self.header():  # what a configuration decided was not said at the beginning
                terminal.write_line(line)
        self._ending.print_summary(terminal, self.settings)

    def interrupted(self) -> None:
        """Pass an interruption on to the workers that run a scenario, and wait until they have cleaned up behind it.

        pytest-xdist would do so after 5 s, and kill them after 10.
        """
        for pid in self._view.processes():
            with suppress(OSError):
                os.kill(pid, signal.SIGTERM)  # SIGINT may be ignored, as a shell does for what runs behind
        self._view.wait_until_idle(INTERRUPTED_SEC)

    def unconfigure(self) -> None:
        """End what runs beside the session, and give back what was taken over."""
        self.close()
        self._part.end()
        self._termination.restore()

    def close(self) -> None:
        """Stop showing progress."""
        if self._live is not None:
            self._live.stop()
            self._live = None
