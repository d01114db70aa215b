"""What all tests share: pytester, a Docker engine that is really there, and projects with scenarios."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from scenario_files import Project


@pytest.fixture(scope="session")
def engine() -> Any:
    """A docker-py client of a running engine. Without one: skip, or fail where SPECBENCH_REQUIRE_ENGINE=1."""
    import docker

    try:
        client = docker.from_env()
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        message = f"no Docker engine answers: {error}"
        if os.environ.get("SPECBENCH_REQUIRE_ENGINE") == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    yield client
    client.close()


@pytest.fixture(scope="session")
def runner_image(engine: Any) -> str:
    """The runner image, built once on the base that SPECBENCH_RUNNER_BASE names. Without a base that is here or can be
    pulled: skip, or fail where SPECBENCH_REQUIRE_ENGINE=1.
    """
    from pytest_specbench.core.errors import BlockedError
    from pytest_specbench.core.settings import RUNNER_IMAGE
    from pytest_specbench.sandboxes.runner import build_runner

    try:
        build_runner()
    except BlockedError as error:
        if os.environ.get("SPECBENCH_REQUIRE_ENGINE") == "1":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    return RUNNER_IMAGE


@pytest.fixture
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Local sandboxes lie here, so that what a test leaves is told from everybody else's, is swept by no run but the
    test's own, and goes.
    """
    tmp_path_factory.getbasetemp()  # pytest's own stays where it is
    folder = Path(tempfile.mkdtemp(prefix="sandboxes-"))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with scenarios, run without xdist."""
    return _project(pytester, monkeypatch, workers=0)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where projects are kept that many tests of a module begin with."""
    return tmp_path_factory.mktemp("templates")


@pytest.fixture(params=[0, 2], ids=["no xdist", "n2"])
def either(request: pytest.FixtureRequest, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with scenarios, run without xdist and with two workers."""
    return _project(pytester, monkeypatch, workers=request.param)


def _project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, *, workers: int) -> Project:
    """No setting of whoever runs the tests reaches the project under test."""
    from scenario_files import Project

    from pytest_specbench.option_table import OPTIONS

    ours = {name for option in OPTIONS for name in option.variables}
    for name in list(os.environ):
        if (
            name in ours
            or name.startswith(("PYTEST_XDIST", "GITHUB_", "GITLAB_", "CI_"))
            or name
            in {
                "PYTEST_ADDOPTS",
                "CI",
            }
        ):
            monkeypatch.delenv(name)
    return Project(pytester, workers=workers)
