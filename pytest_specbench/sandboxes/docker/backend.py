"""Makes containers as sandboxes, and removes those that runs that died left behind."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable

from docker import APIClient

from pytest_specbench.core.deadline import DeadlineExceededError, run_bounded
from pytest_specbench.core.records import ImageIdentity, KeptSandbox
from pytest_specbench.sandboxes.base import Availability, SandboxSpec
from pytest_specbench.sandboxes.docker.container import abandoned_containers, create_container, remove_container
from pytest_specbench.sandboxes.docker.engine import (
    ENGINE_FAULTS,
    address,
    connect,
    connected,
    engine_errors,
    engine_hint,
    explain,
    identity_of,
    inspect_image,
)
from pytest_specbench.sandboxes.docker.kept import kept_containers, remove_kept_containers
from pytest_specbench.sandboxes.docker.known import known_of
from pytest_specbench.sandboxes.docker.sandbox import DockerSandbox

REAP_SEC = 30.0
"""How long reaping may hold up who asked for it. What takes longer goes on beside the run, or is left for the next."""


class DockerBackend:
    """Makes containers on a Docker engine that is reached the way the `docker` command reaches it."""

    name = "docker"
    isolates = True

    def availability(self) -> Availability:
        try:
            client = connect()
        except ENGINE_FAULTS as error:
            return Availability(False, f"no Docker engine answers: {explain(error)}", engine_hint())
        version = client.api_version
        client.close()
        return Availability(True, f"a Docker engine answers (API {version})")

    def identify(self, image: str) -> ImageIdentity:
        api = connected()
        try:
            return identity_of(image, inspect_image(api, image))
        finally:
            api.close()

    def reap(self) -> tuple[str, ...]:
        removed: list[str] = []
        with contextlib.suppress(DeadlineExceededError):
            run_bounded(lambda: _reap(removed), REAP_SEC, phase="reaping")
        return tuple(removed)

    def abandoned(self) -> tuple[str, ...]:
        return self._asked(lambda api: tuple(f"container {name}" for name in abandoned_containers(api)))

    def kept(self) -> tuple[KeptSandbox, ...]:
        return self._asked(kept_containers)

    def remove_kept(self) -> tuple[str, ...]:
        return self._asked(remove_kept_containers)

    def _asked[T](self, question: Callable[[APIClient], tuple[T, ...]]) -> tuple[T, ...]:
        """What the engine answers; nothing where there is none."""
        with contextlib.suppress(*ENGINE_FAULTS), contextlib.closing(connect()) as api:
            return question(api)
        return ()

    def start(self, spec: SandboxSpec) -> DockerSandbox:
        api, known = connected(), known_of(address())
        # The name is known beforehand, so that what an interrupted request made can be removed too.
        name = f"specbench-{uuid.uuid4().hex}"
        try:
            facts = inspect_image(api, spec.image)
            with engine_errors(f"start a container of {spec.image}"):
                # By its id: a tag may be moved meanwhile, and what is known of one image is not so of another.
                container = create_container(api, name, spec, str(facts["Id"]), podman=known.podman(api))
                api.start(container)
            sandbox = DockerSandbox(api, container, spec, facts, known)
            sandbox.prepare()
        except BaseException:
            try:
                remove_container(api, name)
            except ENGINE_FAULTS:
                # The first error says what is wrong; the labels let `specbench gc` find what is left.
                pass
            finally:
                api.close()
            raise
        return sandbox


def _reap(removed: list[str]) -> None:
    """Remove what is abandoned, and add it to `removed`."""
    with contextlib.suppress(*ENGINE_FAULTS), contextlib.closing(connect()) as api:
        for name in abandoned_containers(api):
            # Another process may be reaping too, or the engine cannot: what is left is found the next time.
            with contextlib.suppress(*ENGINE_FAULTS):
                remove_container(api, name)
                removed.append(f"container {name}")
