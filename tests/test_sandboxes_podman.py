"""Podman answers like a Docker engine, with differences: they must neither let an agent through nor blame it.

Skips where Podman is not installed; CI does not install it. The service is the tests' own, with a storage of its own.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from engine_support import tar

from pytest_specbench.core.errors import BlockedError, InfrastructureError
from pytest_specbench.core.settings import RUNNER_IMAGE
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.base import ExecResult, Sandbox, SandboxSpec
from pytest_specbench.sandboxes.docker.backend import DockerBackend

pytestmark = [
    pytest.mark.docker,  # the image comes from a Docker engine
    pytest.mark.skipif(shutil.which("podman") is None, reason="Podman is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="the service is started as root"),
]
SPEC = SandboxSpec(RUNNER_IMAGE, 0.5, 128, 64, "/work/deep", None, ("none",), {}, {}, 600.0)


@pytest.fixture(scope="module")
def podman(runner_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Podman service that has the runner image."""
    folder = tmp_path_factory.mktemp("podman")
    address = f"unix://{folder}/engine.sock"
    command = ["podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run"]
    environment = {**os.environ, "CONTAINERS_CONF": str(write_configuration(folder))}
    archive = folder / "image.tar"
    subprocess.run(["docker", "save", "-o", archive, runner_image], check=True)
    loaded = subprocess.run([*command, "load", "-q", "-i", archive], env=environment, check=False, capture_output=True)
    if loaded.returncode:
        pytest.skip(f"Podman cannot hold an image here: {loaded.stderr.decode('utf-8', 'replace').strip()[-200:]}")
    archive.unlink()
    with subprocess.Popen([*command, "system", "service", "--time=0", address], env=environment) as service:
        try:
            wait_for(folder / "engine.sock", service)
            yield address
        finally:
            service.terminate()
    # Not `system reset`, which may reach beyond this storage.
    subprocess.run([*command, "rmi", "--all", "--force"], env=environment, check=True, capture_output=True)


def write_configuration(folder: Path) -> Path:
    """Podman raises limits beyond those of its own process, which not every root may; here it leaves them low."""
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    low = [min(value, 30_000) for value in (resource.getrlimit(kind)[1] for kind in limits.values())]
    told = ", ".join(
        f'"{name}={30_000 if value < 0 else value}:{30_000 if value < 0 else value}"'
        for name, value in zip(limits, low, strict=True)
    )
    runtime = "runc" if shutil.which("runc") else "crun"  # crun knows no hybrid of both versions of control groups
    path = folder / "containers.conf"
    path.write_text(
        f'[containers]\ndefault_ulimits = [{told}]\n[engine]\nruntime = "{runtime}"\nevents_logger = "file"\n'
    )
    return path


def wait_for(socket: Path, service: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not socket.exists():  # nothing tells when it is there
        assert service.poll() is None, "Podman's service has ended"
        assert time.monotonic() < end, "Podman's service does not come up"
        time.sleep(0.05)


@pytest.fixture
def backend(podman: str, monkeypatch: pytest.MonkeyPatch) -> DockerBackend:
    monkeypatch.setenv("DOCKER_HOST", podman)
    return DockerBackend()


@pytest.fixture
def sandbox(backend: DockerBackend) -> Iterator[Sandbox]:
    started = backend.start(SPEC)
    yield started
    started.close()


def sh(sandbox: Sandbox, script: str, timeout_sec: float = 60) -> ExecResult:
    return sandbox.exec(["sh", "-c", script], timeout_sec=timeout_sec)


def test_commands_files_and_measuring(sandbox: Sandbox) -> None:
    sandbox.put(tar({"a/b": b"1"}), "there")
    sandbox.start_measuring()
    assert sh(sandbox, "cat there/a/b; exit 3").exit_code == 3
    assert sandbox.exec(["no-such-program"], timeout_sec=60).exit_code == 127
    usage = sandbox.stop_measuring()
    assert usage.cpu_ms is not None
    assert sandbox.fetch(["**/b"], max_bytes=100) == {"there/a/b": b"1"}


def test_what_is_put_for_another_user_is_his(backend: DockerBackend) -> None:
    """Also the folder that has to be made for it, which Podman would give to root."""
    sandbox = backend.start(replace(SPEC, user="1234:1234"))
    try:
        sandbox.put(tar({"a": b"1"}), "new/folder")
        assert sh(sandbox, "touch new/folder/b new/b").exit_code == 0
    finally:
        sandbox.close()


def test_what_is_left_running_is_killed_and_told(sandbox: Sandbox) -> None:
    sandbox.start_measuring()
    assert sh(sandbox, "setsid sleep 300 >/dev/null 2>&1 & sleep 300", 1).exit_code is None
    sh(sandbox, "setsid sleep 400 >/dev/null 2>&1 &")
    assert sandbox.kill_all() == ("sleep 400",)
    assert sandbox.kill_all() == ()


def test_a_ps_that_an_agent_replaced_is_not_run_by_us(sandbox: Sandbox) -> None:
    """Podman would, for the columns that Docker is asked for; after the kill it would be the agent again."""
    sandbox.start_measuring()
    script = "#!/bin/sh\ntouch /tmp/ran\n"
    assert sh(sandbox, f"printf '%s' '{script}' > \"$(command -v ps)\" && ps && rm /tmp/ran").exit_code == 0
    sandbox.kill_all()
    assert sh(sandbox, "test -e /tmp/ran").exit_code == 1


def test_more_cpus_than_the_host_has_block(backend: DockerBackend) -> None:
    with pytest.raises(BlockedError) as caught:
        backend.start(replace(SPEC, cpus=1000.0))
    assert caught.value.cause is Cause.HOST_TOO_SMALL


def test_a_network_is_refused_rather_than_left_out(backend: DockerBackend) -> None:
    with pytest.raises(InfrastructureError, match="cannot switch the network to 'bridge'"):
        backend.start(replace(SPEC, networks=("bridge",)))
