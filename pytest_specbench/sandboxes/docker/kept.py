"""Containers that are left for a look. Labels cannot be changed any more, but a name can: it is the mark."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from docker import APIClient

from pytest_specbench.core.records import KeptSandbox
from pytest_specbench.sandboxes.docker.container import KEPT, SANDBOX_LABEL, remove_container
from pytest_specbench.sandboxes.docker.engine import ENGINE_FAULTS
from pytest_specbench.sandboxes.keeping import RUN_LABEL, SCENARIO_LABEL
from pytest_specbench.sandboxes.owner import is_of_this_machine


def keep_container(api: APIClient, container: str, labels: Mapping[str, str]) -> KeptSandbox:
    """Mark a container in which nothing of the agent runs as kept, by its name."""
    name = f"{KEPT}{labels.get(RUN_LABEL, '')[:8] or 'run'}-{uuid.uuid4().hex[:12]}"
    running = bool(api.inspect_container(container)["State"]["Running"])
    api.rename(container, name)
    return _described(name, labels, running=running)


def kept_containers(api: APIClient) -> tuple[KeptSandbox, ...]:
    """The kept containers on the engine that were made by runs on this machine."""
    found = api.containers(all=True, filters={"label": SANDBOX_LABEL})
    return tuple(
        _described(_name(each), each["Labels"] or {}, running=each.get("State") == "running")
        for each in found
        if _name(each).startswith(KEPT) and is_of_this_machine(each["Labels"] or {})
    )


def remove_kept_containers(api: APIClient) -> tuple[str, ...]:
    """Remove them, and return what was removed."""
    removed: list[str] = []
    for each in kept_containers(api):
        try:
            remove_container(api, each.name)
        except ENGINE_FAULTS:
            continue  # it stays, and is found the next time
        removed.append(f"container {each.name}")
    return tuple(removed)


def _name(container: Mapping[str, list[str]]) -> str:
    return (container.get("Names") or [""])[0].lstrip("/")


def _described(name: str, labels: Mapping[str, str], *, running: bool) -> KeptSandbox:
    # One that does not run has had its programs replaced, or the machine was started anew: starting it would run what
    # is in it, so it is copied out of.
    enter = f"docker exec -it {name} sh" if running else f"docker cp {name}:/ - | tar -t"
    return KeptSandbox(
        name=name,
        run_id=labels.get(RUN_LABEL, ""),
        scenario_id=labels.get(SCENARIO_LABEL, ""),
        enter=enter,
        remove=f"docker rm -f {name}",
    )
