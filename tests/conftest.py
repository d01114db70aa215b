"""What all tests share: pytester, and a Docker engine that is really there."""

from __future__ import annotations

import os
from typing import Any

import pytest


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
