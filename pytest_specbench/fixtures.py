"""Fixtures for ordinary tests: run a scenario and assert on its benchmark run, or work in its sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_specbench.core.records import BenchmarkRun
    from pytest_specbench.sandboxes.base import Sandbox
    from pytest_specbench.session.session import ScenarioSession

MARKER = "specbench_scenario"


def _session(request: pytest.FixtureRequest) -> ScenarioSession:
    hooks: Any = request.config.pluginmanager.get_plugin("specbench-hooks")
    session: ScenarioSession = hooks.active()
    return session


@pytest.fixture
def specbench(request: pytest.FixtureRequest) -> Callable[[str | Path], BenchmarkRun]:
    """Run a scenario file through the gate: `run = specbench("benchmarks/hello.scenario.yaml")`.

    A relative path is relative to the test's own file, else to rootdir. The options of the session hold (sandbox,
    agent, approval mode, ...), the artifacts go into its run folder, and the test alone decides what it makes of
    `run.status`: nothing is raised for a regression or a blocked run. Raises ScenarioError for an invalid file.
    """
    session = _session(request)

    def run(path: str | Path) -> BenchmarkRun:
        return session.run(_found(request, path))

    return run


@pytest.fixture
def specbench_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A running sandbox of the scenario that `@pytest.mark.specbench_scenario("file")` names, its fixtures in place.

    What is observed has been held against the lock file before the test starts: drift, a missing engine or image is an
    error of the test's set-up. The sandbox is removed when the test is over.
    """
    marker = request.node.get_closest_marker(MARKER)
    if marker is None or len(marker.args) != 1:
        pytest.fail(f"specbench_sandbox needs @pytest.mark.{MARKER}('FILE.scenario.yaml') on the test", pytrace=False)
    from pytest_specbench.core.errors import SpecbenchError
    from pytest_specbench.gate.parity import open_sandbox

    problem = ""
    try:
        with open_sandbox(*_session(request).loaded(_found(request, marker.args[0]))) as sandbox:
            yield sandbox
    except SpecbenchError as error:
        problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)


def _found(request: pytest.FixtureRequest, path: str | Path) -> Path:
    """The scenario file: beside the test, else below rootdir."""
    beside = request.path.parent / path
    return beside if beside.exists() else request.config.rootpath / path
