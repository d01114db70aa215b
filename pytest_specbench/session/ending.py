"""The end of a session: its report, what is written of it, and what stands outside of pytest's own output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from pytest_specbench.core.errors import SpecbenchError
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import EXIT_BLOCKED, Status
from pytest_specbench.session.run_part import RunPart
from pytest_specbench.session.selection import Selection
from pytest_specbench.session.verdicts import Verdicts

if TYPE_CHECKING:
    from pytest_specbench.reporting.report import Report, RunInfo
    from pytest_specbench.store.trusted.authority import Authority


class Ending:
    """Makes, writes and prints the report of one session, in the controller.

    `authority` says what scenarios are held against, and raises BlockedError when it cannot be told.
    """

    def __init__(
        self,
        config: pytest.Config,
        *,
        selection: Selection,
        verdicts: Verdicts,
        part: RunPart,
        authority: Callable[[], Authority],
        started_at: datetime,
    ) -> None:
        self._config = config
        self._selection = selection
        self._verdicts = verdicts
        self._part = part
        self._authority = authority
        self._started_at = started_at
        self._report: Report | None = None
        self._unwritten = ""
        self._last_line = ""

    @property
    def report(self) -> Report | None:
        """The report, once it is made."""
        return self._report

    def make_report(self, session: pytest.Session, settings: Settings) -> None:
        """Make and write the report, tell who is to be told, and give the session the report's exit status."""
        from pytest_specbench.incidents.session import with_incidents
        from pytest_specbench.reporting.report import make_report

        verdicts = self._verdicts
        status = int(session.exitstatus)
        if verdicts.broken and status == 1 and session.testsfailed == len(verdicts.problems):
            status = 2  # what pytest says without workers; with them it calls files that it cannot collect failed tests
        if session.exitstatus != pytest.ExitCode.INTERRUPTED and not (session.shouldfail or session.shouldstop):
            # What was to run and never started owes a verdict too: a hook may have swallowed it.
            verdicts.started.update(dict.fromkeys(self._selection.kept))
        verdicts.complete(self._config.rootpath, settings, self._started_at)
        self._report = make_report(verdicts.in_order(), info=self._info(session, settings, status))
        session.exitstatus = self._report.exit_code
        self._write(session, settings)
        self._report = with_incidents(self._report, verdicts.in_order(), settings)
        if self._report.incidents:
            self._write(session, settings)

    def _info(self, session: pytest.Session, settings: Settings, status: int) -> RunInfo:
        from pytest_specbench.reporting.report import RunInfo

        verdicts = self._verdicts
        info = RunInfo.of(
            settings,
            run_id=UUID(settings.run_id),
            generated_at=datetime.now(UTC),
            missing=tuple(verdicts.unknown),
            interrupted=session.exitstatus == pytest.ExitCode.INTERRUPTED
            and not session.shouldfail
            and not (verdicts.broken and not verdicts.started),
        )
        return replace(
            info,
            pytest_status=status,
            collection_problems=tuple(verdicts.problems),
            altered=self._altered(settings),
            kept=self._part.kept(),
            resumed=self._part.facts(verdicts.runs.values()),
            other_failures=max(0, session.testsfailed - verdicts.failed - len(verdicts.problems)),
        )

    def _altered(self, settings: Settings) -> tuple[str, ...]:
        """What the work tree has otherwise than the trusted ref. What cannot be told has blocked every scenario."""
        if settings.held is None:
            return ()
        try:
            return (*settings.held.altered, *(one.sentence for one in self._authority().altered))
        except SpecbenchError as error:
            return (*settings.held.altered, str(error))

    def _write(self, session: pytest.Session, settings: Settings) -> None:
        """Write the report; it is written again with what became of the incidents, which may take a while."""
        from pytest_specbench.reporting.write import correct_report, write_report

        assert self._report is not None  # noqa: S101 - for the type checker: the caller has just made it
        redactor = Redactor.from_environment((), os.environ)
        try:
            settings.run_folder.mkdir(parents=True, exist_ok=True)
            write_report(self._report, settings, started_at=self._started_at, redactor=redactor)
        except (OSError, ValueError, SpecbenchError) as error:
            why = f"the report could not be written: {error}"
            self._unwritten = f"specbench: {why}"
            session.exitstatus = session.exitstatus or EXIT_BLOCKED
            # What is shown says so, too: the last line is the session's.
            update = {"exit_code": int(session.exitstatus), "exit_reason": f"{why}; {self._report.exit_reason}"}
            self._report = self._report.model_copy(update=update)
            correct_report(self._report, settings, started_at=self._started_at, redactor=redactor)

    def print_report(self, settings: Settings) -> None:
        """What stands outside of pytest's own output: blocked scenarios on stderr, and on stdout the report as JSON."""
        from pytest_specbench.reporting.text import printable_lines

        if self._report is None:
            return
        from pytest_specbench.reporting.report import report_json
        from pytest_specbench.store.runs.history import index_run

        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            index_run(settings.output, settings.run_folder)
            for run in self._verdicts.runs.values():
                if run.status is Status.BLOCKED or run.exit_code == EXIT_BLOCKED:
                    lines = [f"specbench: {run.scenario_id}: {run.status}: {run.cause}", run.notes]
                    if "\n".join(run.comparison.diff) not in run.notes:
                        lines += run.comparison.diff
                    sys.stderr.write("\n".join(printable_lines("\n".join(lines))) + "\n")
            if settings.format == "json":
                sys.stdout.write(json.dumps(report_json(self._report), indent=2) + "\n")
                sys.stdout.flush()
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if self._last_line and terminal is not None:
            terminal.write_line(self._last_line)

    def print_summary(self, terminal: Any, settings: Settings) -> None:
        """The table at the end."""
        if self._report is None or settings.format == "json":
            from pytest_specbench.reporting.kept import kept_lines

            for line in kept_lines(self._part.kept()):
                terminal.write_line(line)
        if self._report is None:
            return
        if self._unwritten:
            terminal.write_line(self._unwritten, red=True)
        from pytest_specbench.reporting.table import exit_line, render_table

        writer = terminal._tw  # noqa: SLF001 - its width has no public name
        encoding = getattr(writer._file, "encoding", None) or "utf-8"  # noqa: SLF001 - as above
        if settings.format == "json":  # the table's place is taken, and what pytest prints is on stderr
            self._last_line = exit_line(self._report, encoding)
            return
        terminal.ensure_newline()
        terminal.section("specbench", sep="=")
        *lines, self._last_line = render_table(
            self._report, width=writer.fullwidth, color=terminal.hasmarkup, encoding=encoding
        )
        for line in lines:
            terminal.write_line(line)
