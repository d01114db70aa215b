"""pytest hooks, and nothing else. Inert until a scenario is collected: what is heavy is imported inside the hooks."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_specbench import options
from pytest_specbench.fixtures import MARKER, specbench, specbench_sandbox

if TYPE_CHECKING:
    from pytest_specbench.session.session import ScenarioSession

__all__ = ["SpecbenchHooks", "specbench", "specbench_sandbox"]

SUFFIXES = (".scenario.yaml", ".scenario.yml")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    options.register(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the hooks that need to know the configuration."""
    config.addinivalue_line(
        "markers", f"{MARKER}(file): the scenario whose sandbox the fixture specbench_sandbox brings up"
    )
    if config.pluginmanager.register(SpecbenchHooks(config), "specbench-hooks") is None:
        raise pytest.UsageError(
            "-p no:specbench-hooks leaves scenarios without a verdict; to do without, -p no:specbench"
        )
    if not hasattr(config, "workerinput"):
        options.warn_of_unknown_variables(config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Where a ref is trusted, have the session run where that is laid out, before any conftest.py is read."""
    ref = options.ref_asked_for(early_config)
    if ref is not None and not options.runs_at_ref(early_config):
        from pytest_specbench.commands.at_ref import run_at_ref
        from pytest_specbench.core.errors import SpecbenchError
        from pytest_specbench.core.git import repository_of

        given = early_config.invocation_params
        near = given.dir if repository_of(given.dir) else early_config.rootpath
        try:
            code = run_at_ref(ref, "pytest", given.args, near=near)
        except SpecbenchError as error:
            raise pytest.UsageError(f"--specbench-trusted-ref: {error}") from None
        raise SystemExit(code)
    return (yield)


class SpecbenchHooks:
    """The hooks of one session. `state` is made when the first scenario shows up, or an option of ours was given."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.state: ScenarioSession | None = None

    def active(self) -> ScenarioSession:
        """The session's state, made now if it is not there."""
        if self.state is None:
            from pytest_specbench.session.session import ScenarioSession

            self.state = ScenarioSession(self.config)
        return self.state

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Check the settings, and keep stdout for the report when that is JSON."""
        settings = options.read_settings(self.config)  # light; a wrong one is a wrong usage, and no wrong file
        options.check_permissions(self.config, settings)
        if options.any_given(self.config) or settings.format == "json":
            self.active().start()

    def pytest_report_header(self) -> list[str]:
        """Dataset, agent, model and sandbox with its reason; nothing in a session without our options."""
        return self.active().header() if options.any_given(self.config) else []

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect `*.scenario.yaml`."""
        if not file_path.name.endswith(SUFFIXES):
            return None
        from pytest_specbench.items import ScenarioFile

        self.active().start()
        return ScenarioFile.for_session(parent, file_path, self.active())

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the scenarios that were not asked for."""
        if self.state is not None:
            self.state.selection.select(items, broken=self.state.verdicts.broken)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write down what is to run, now that nobody leaves out anything any more."""
        if self.state is not None:
            self.state.selection.settle(session.items)
            if self.state.selection.kept:
                self.state.about_to_run()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give an xdist worker the identity of the run and the choice of the sandbox."""
        node.workerinput.update(self._worker_input())

    def _worker_input(self) -> Mapping[str, Any]:
        given: dict[str, Any] = {"specbench_run": options.run_identity(self.config)}
        if options.any_given(self.config):
            given["specbench_sandbox"] = self.active().sandbox_choice()
        return given

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> Generator[None, None, None]:
        """Remember that a scenario started: it must give a verdict. What pytest prints stays whole."""
        if self.state is None and not nodeid.partition("::")[0].endswith(SUFFIXES):
            return (yield)
        with self.active().quiet():
            yield
        if nodeid.partition("::")[0].endswith(SUFFIXES):
            self.active().scenario_started(nodeid)
        return None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the benchmark run on pytest's own report, which travels to the controller and into every other tool."""
        report = yield
        if self.state is not None:
            from pytest_specbench.session.words import attach

            attach(item, report, self.state.sandbox_choice)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Take in a benchmark run, from this process or from a worker. What pytest prints stays whole."""
        if self.state is None:
            return (yield)
        self.state.received(report)
        with self.state.quiet():
            return (yield)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember a file that could not be collected; a controller hears of those of its workers here."""
        if self.state is not None or (report.failed and report.nodeid.endswith(SUFFIXES)):
            self.active().verdicts.collected(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Remember what the workers are to run."""
        ours = [nodeid for nodeid in ids if nodeid.partition("::")[0].endswith(SUFFIXES)]
        if ours:
            self.active().selection.kept = ours
            self.active().about_to_run()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take in what an xdist worker could not say itself; one that died said nothing."""
        output = getattr(node, "workeroutput", None) or {}
        if "specbench_usage_error" in output:
            self.active().worker_ended(output)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, Any] | None:
        """Letter and word of a scenario's status."""
        if self.state is None:
            return None
        from pytest_specbench.session.words import status_word

        return status_word(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Write the report and set the exit status, before any other tool records it."""
        if self.state is not None:
            self.state.finish(session)
        yield
        if self.state is not None:
            self.state.print_report()

    @pytest.hookimpl(optionalhook=True)
    def pytest_json_modifyreport(self, json_report: dict[str, Any]) -> None:
        """Let pytest-json-report carry our report in its file."""
        if self.state is not None:
            self.state.add_to(json_report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_json_runtest_metadata(self, item: pytest.Item) -> dict[str, Any]:
        """Let pytest-json-report carry the benchmark run with its item."""
        run = getattr(item, "benchmark_run", None)
        return {} if run is None else {"specbench": run.model_dump(mode="json")}

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item) -> bool | None:
        """Keep pytest-timeout off our items: its timer would kill the process, and the sandbox would stay behind. The
        phases of a trial have deadlines of their own.
        """
        return True if hasattr(item, "benchmark_run") else None

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> bool | None:
        """The other half of `pytest_timeout_set_timer`."""
        return True if hasattr(item, "benchmark_run") else None

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table, or the report as JSON on stdout."""
        if self.state is not None:
            self.state.print_summary(terminalreporter)

    def pytest_keyboard_interrupt(self) -> None:
        """Interrupt the workers too, before they are shut down."""
        if self.state is not None:
            self.state.interrupted()

    def pytest_unconfigure(self) -> None:
        """End what runs beside the session."""
        if self.state is not None:
            self.state.unconfigure()
