"""Makes one container, and removes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound

from pytest_specbench.core.errors import BlockedError, InfrastructureError
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.base import SandboxSpec
from pytest_specbench.sandboxes.docker.engine import explain
from pytest_specbench.sandboxes.owner import deadline_label, is_abandoned, owner_labels
from pytest_specbench.sandboxes.sampling import MB

SANDBOX_LABEL = "org.specbench.sandbox"
KEPT = "specbench-kept-"
"""How the name of a kept container begins. Nothing inside of a container can give it another name."""
KEEPER = ["sleep", "infinity"]
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the engine looks for programs when the image does not say."""
CAPABILITIES = (
    "CHOWN",  # package managers and `tar` as root give files to their users
    "DAC_OVERRIDE",  # root reads and writes what others own, as installers expect
    "FOWNER",  # ... and sets modes and times on it
    "FSETID",  # ... keeping set-id bits on directories
    "SETGID",  # `su`, `apt-get` and servers change to an unprivileged user
    "SETUID",
    "KILL",  # root ends processes of other users: agents do, and so do we at a deadline
    "NET_BIND_SERVICE",  # a server under test listens on port 80
    "SYS_CHROOT",  # sshd and package scripts
)
"""What root keeps inside the container. Not among Docker's own: raw sockets, device nodes, file capabilities, audit."""


def create_container(api: APIClient, name: str, spec: SandboxSpec, image: str, *, podman: bool) -> str:
    """Create the container from the image with that id, and return its own id.

    Raises BlockedError when the host has fewer CPUs than asked for.
    """
    host = api.create_host_config(
        init=True,
        network_mode="none",
        mem_limit=spec.memory_mb * MB,
        memswap_limit=spec.memory_mb * MB,
        nano_cpus=round(spec.cpus * 1_000_000_000),
        pids_limit=spec.pids,
        cap_drop=["ALL"],
        cap_add=list(CAPABILITIES),
        security_opt=["no-new-privileges"],
    )
    if podman and spec.cpus > (there := api.info().get("NCPU", 0)):  # it would take any number
        raise _host_too_small(spec, f"the host has {there}")
    try:
        made = api.create_container(
            image,
            name=name,
            entrypoint=KEEPER[:1],
            command=KEEPER[1:],
            user="0:0",
            working_dir="/",  # not the workdir: an agent may spoil that, and a restart must not mend it
            environment=dict(spec.environment),
            labels={**spec.labels, **owner_labels(), **deadline_label(spec.lifetime_sec), SANDBOX_LABEL: "1"},
            host_config=host,
            healthcheck={"test": ["NONE"]},
        )
    except APIError as error:
        if "Range of CPUs" not in explain(error):
            raise
        raise _host_too_small(spec, explain(error)) from error
    return str(made["Id"])


def _host_too_small(spec: SandboxSpec, why: str) -> BlockedError:
    return BlockedError(
        f"the scenario asks for {spec.cpus} CPUs: {why}",
        cause=Cause.HOST_TOO_SMALL,
        hint="run on a larger host, or lower runner.cpus (baselines of other limits are not comparable)",
    )


def remove_container(api: APIClient, container: str) -> None:
    """Kill and remove a container with its volumes. One that is gone, or is being removed, is fine."""
    try:
        api.remove_container(container, v=True, force=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409 or "already in progress" not in explain(error):
            raise


def abandoned_containers(api: APIClient) -> list[str]:
    """Names of the sandboxes on the engine whose owner was a process of this machine that is gone, but the kept."""
    found = api.containers(all=True, filters={"label": SANDBOX_LABEL})
    names = [each["Names"][0].lstrip("/") for each in found if each.get("Names") and is_abandoned(each["Labels"] or {})]
    return [name for name in names if not name.startswith(KEPT)]


def search_path(image: Mapping[str, Any]) -> str:
    """Where a container of the image looks for programs."""
    entries = (image.get("Config") or {}).get("Env") or []
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}.get("PATH") or DEFAULT_PATH


def require_shell(image: Mapping[str, Any], exists: Callable[[PurePosixPath], bool]) -> None:
    """Raise InfrastructureError(SETUP_FAILED) when the image has no `sh`: found missing later, it would seem to be the
    agent's doing. `image` is what the engine knows of it, `exists` tells whether a path is there.
    """
    path = search_path(image)
    if not any(exists(PurePosixPath(folder) / "sh") for folder in path.split(":") if folder):
        raise InfrastructureError(
            f"the image has no program 'sh' on its PATH, {path}",
            cause=Cause.SETUP_FAILED,
            hint="name an image with a shell in runner.image",
        )


def is_not_running(error: APIError) -> bool:
    """Whether the engine refused something because the container is dead."""
    return any(words in explain(error) for words in ("is not running", "container state improper"))
