"""What dead runs left on an engine is removed as far as that goes, and holds up nobody."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from pytest_specbench.core.deadline import DeadlineExceededError
from pytest_specbench.sandboxes.docker import backend as docker_backend
from pytest_specbench.sandboxes.docker import container as docker_container
from pytest_specbench.sandboxes.docker.backend import DockerBackend


@pytest.fixture
def orphans(runner_image: str, engine: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of containers in the order in which they are reaped. They have no labels: the engine is shared with others,
    who reap too.
    """
    names = [f"specbench-test-{uuid.uuid4().hex}" for _ in range(3)]
    for name in names:
        engine.containers.create(runner_image, ["true"], name=name)
    monkeypatch.setattr(docker_backend, "abandoned_containers", lambda api: names)
    yield names
    for name in names:
        with contextlib.suppress(NotFound):
            engine.api.remove_container(name, force=True)


@pytest.mark.docker
def test_one_orphan_that_cannot_be_removed_leaves_the_others_to_be(
    orphans: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(api: Any, name: str) -> None:
        if name == orphans[0]:
            raise APIError("device or resource busy")
        docker_container.remove_container(api, name)

    monkeypatch.setattr(docker_backend, "remove_container", remove)
    assert DockerBackend().reap() == tuple(f"container {name}" for name in orphans[1:])


@pytest.mark.docker
def test_an_engine_that_does_not_come_to_an_end_holds_up_nobody(
    orphans: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was removed until then is told."""
    answer, hangs = threading.Event(), threading.Event()

    def remove(api: Any, name: str) -> None:
        if name == orphans[1]:
            hangs.set()
            assert answer.wait(60)

    def bounded(function: Any, seconds: float, *, phase: str) -> None:
        """Its time is over when it hangs."""
        thread = threading.Thread(target=function)
        threads.append(thread)
        thread.start()
        assert hangs.wait(60)
        raise DeadlineExceededError(phase, seconds)

    threads: list[threading.Thread] = []
    monkeypatch.setattr(docker_backend, "remove_container", remove)
    monkeypatch.setattr(docker_backend, "run_bounded", bounded)
    assert DockerBackend().reap() == (f"container {orphans[0]}",)
    answer.set()
    threads[0].join()
