"""Containers: limits, networks, what an agent may break, and what an image is."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound
from engine_support import require_runner_image, tar

from pytest_specbench.core.errors import AgentError, BlockedError, InfrastructureError
from pytest_specbench.core.settings import RUNNER_IMAGE
from pytest_specbench.core.status import FUNCTIONAL_FAILURES, Cause
from pytest_specbench.sandboxes.base import SandboxSpec, SpoiledError
from pytest_specbench.sandboxes.choice import choose_sandbox
from pytest_specbench.sandboxes.docker.backend import DockerBackend
from pytest_specbench.sandboxes.docker.engine import address, identity_of, repository_of
from pytest_specbench.sandboxes.docker.sandbox import DockerSandbox
from pytest_specbench.sandboxes.docker.usage import Meter

SPEC = SandboxSpec(RUNNER_IMAGE, 0.5, 128, 64, "/work/deep", None, ("none",), {}, {"org.specbench.test": "yes"}, 600.0)


@pytest.fixture(scope="module")
def image(engine: Any) -> str:
    return require_runner_image()


@pytest.fixture
def sandbox(image: str) -> Iterator[DockerSandbox]:
    made = DockerBackend().start(SPEC)
    yield made
    made.close()


def sh(sandbox: DockerSandbox, script: str, seconds: float = 30) -> Any:
    return sandbox.exec(["sh", "-c", script], timeout_sec=seconds)


def own(engine: Any) -> Any:
    return engine.containers.list(all=True, filters={"label": "org.specbench.test=yes"})


@pytest.mark.docker
def test_limits_and_labels_are_really_set(sandbox: DockerSandbox, engine: Any) -> None:
    """No swap beside memory, no privileges to gain, few capabilities, labels for the reaper."""
    (container,) = [one for one in own(engine) if one.id == sandbox._container]
    host = container.attrs["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (500_000_000, 127_999_232, 127_999_232) or (
        host["NanoCpus"],
        host["Memory"],
        host["MemorySwap"],
    ) == (500_000_000, 128_000_000, 128_000_000)
    assert (host["PidsLimit"], host["Init"], host["NetworkMode"]) == (64, True, "none")
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges" in host["SecurityOpt"]
    assert container.labels["org.specbench.sandbox"] == "1"
    owner = {name for name in container.labels if name.startswith("org.specbench.owner.")}
    assert owner == {f"org.specbench.owner.{part}" for part in ("machine", "boot", "pid", "begun", "deadline")}
    # No folder of the host, and above all no socket of an engine.
    assert (host["Binds"] or [], container.attrs["Mounts"], host.get("Devices") or []) == ([], [], [])
    assert sh(sandbox, "grep NoNewPrivs /proc/self/status").output.split()[-1] == b"1"
    assert sh(sandbox, "mknod /tmp/device b 7 0").exit_code != 0


@pytest.mark.docker
def test_memory_that_runs_out_is_told(sandbox: DockerSandbox) -> None:
    sandbox.start_measuring()
    assert sandbox.exec(["python3", "-c", "x = bytearray(400_000_000)"], timeout_sec=60).exit_code == 137
    usage = sandbox.stop_measuring()
    assert usage.out_of_memory
    assert usage.kernel_peak_memory_mb == pytest.approx(128, rel=0.01)


@pytest.mark.docker
def test_an_earlier_phases_end_of_memory_is_not_this_ones(sandbox: DockerSandbox) -> None:
    sandbox.exec(["python3", "-c", "x = bytearray(400_000_000)"], timeout_sec=60)
    sandbox.start_measuring()
    assert not sandbox.stop_measuring().out_of_memory


@pytest.mark.docker
def test_without_visible_control_groups_the_engine_is_asked(sandbox: DockerSandbox, tmp_path: Path) -> None:
    """As on macOS, where the engine is in a virtual machine. Memory is known or null with its reason; OOM is told."""
    meter = Meter(sandbox._api, sandbox._container, root=tmp_path, proc=tmp_path)
    meter.resume()
    sandbox.exec(["python3", "-c", "x = bytearray(400_000_000)"], timeout_sec=60)
    usage = meter.finish()
    assert usage.cpu_ms is not None
    assert usage.cpu_ms > 10
    assert (usage.peak_memory_mb is None) == ("peak_memory_mb" in usage.reasons)
    assert usage.out_of_memory
    assert any("engine's statistics" in note for note in usage.notes)


@pytest.mark.docker
def test_an_agent_that_kills_its_own_sandbox_is_not_the_engines_failure(sandbox: DockerSandbox) -> None:
    """The container comes back with its files, and measuring goes on."""
    sandbox.put(tar({"kept": b"1"}), ".")
    sandbox.start_measuring()
    sh(sandbox, "kill -9 -1")
    assert sh(sandbox, "cat kept").output == b"1"
    sh(sandbox, "kill -9 -1")
    assert sandbox.kill_all() == ()
    usage = sandbox.stop_measuring()
    assert usage.cpu_ms is not None
    assert usage.peak_memory_mb is not None


KEEPER_GONE = {
    "removed": "rm -f $(command -v sleep)",
    "ends at once": "printf '#!/bin/sh\\nexit 0\\n' > /tmp/s; chmod 755 /tmp/s; mv /tmp/s $(command -v sleep)",
    "an earlier one on the PATH": "cp $(command -v sleep) /usr/local/sbin/sleep; echo >> /usr/local/sbin/sleep",
    "a library for every program": "echo /tmp/mine.so > /etc/ld.so.preload",
    "everything removed": "rm -rf --no-preserve-root / 2>/dev/null",
}


@pytest.mark.docker
@pytest.mark.parametrize("left", ["", "sleep 300 >/dev/null 2>&1 & sleep 0.2;"], ids=["alone", "something runs"])
@pytest.mark.parametrize("script", KEEPER_GONE.values(), ids=KEEPER_GONE)
def test_an_agent_that_removes_what_a_restart_needs_only_hurts_itself(
    sandbox: DockerSandbox, script: str, left: str
) -> None:
    """It has failed, nothing runs on, what it left can be fetched, and every command says that it cannot run."""
    sandbox.start_measuring()
    sh(sandbox, f"{left} {script}")
    sh(sandbox, "kill -9 -1")
    for _ in range(2):
        with pytest.raises(AgentError, match="replaced the sandbox's own programs") as caught:
            sandbox.kill_all()
        assert caught.value.cause in FUNCTIONAL_FAILURES
    usage = sandbox.stop_measuring()
    assert usage.peak_memory_mb is not None
    sandbox.set_network("bridge")
    for _ in range(2):
        result = sh(sandbox, "echo alive")
        assert result.exit_code in (126, 127)
        assert result.output
    sandbox.put(tar({"there": b"1"}), ".")
    assert sandbox.fetch(["there"], max_bytes=1) == {"there": b"1"}


HIDDEN = {
    "its main thread has ended": """
import ctypes, threading
def write():
    while True:
        open("/work/deep/alive", "a").write("x")
threading.Thread(target=write).start()
ctypes.CDLL(None).syscall(60, 0)
""",
    "it forks and ends all the time": """
import os
while True:
    open("/work/deep/alive", "a").write("x")
    if os.fork():
        os._exit(0)
""",
    "the keeper does what it is told": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
pid = next(each for each in numbers if open(f"/proc/{each}/cmdline").read() == "sleep\\0infinity\\0")
if libc.ptrace(16, pid, None, None) == 0:
    os.waitpid(pid, 0)
open("/work/deep/alive", "a").write("x")
while True:
    pass
""",
}
"""The system call 60 is `exit` on x86-64, 16 is PTRACE_ATTACH."""


@pytest.mark.docker
@pytest.mark.parametrize("program", HIDDEN.values(), ids=HIDDEN)
def test_a_program_that_hides_is_gone_all_the_same(sandbox: DockerSandbox, program: str) -> None:
    sandbox.start_measuring()
    sandbox.put(tar({"hide.py": program.encode()}), ".")
    sh(sandbox, "setsid python3 hide.py >/dev/null 2>&1 & until [ -s alive ]; do sleep 0.05; done")
    sandbox.kill_all()
    look = "wc -c <alive; cat /proc/[0-9]*/comm | grep -c python; sleep 0.3; wc -c <alive"
    before, pythons, after = sh(sandbox, look).output.split()
    assert (before, pythons) == (after, b"0")


@pytest.mark.docker
def test_a_zombie_whose_threads_go_on_is_killed_at_the_commands_deadline(sandbox: DockerSandbox) -> None:
    sandbox.put(tar({"hide.py": HIDDEN["its main thread has ended"].encode()}), ".")
    assert sh(sandbox, "setsid python3 hide.py >/dev/null 2>&1 & sleep 300", 2).timed_out
    before, after = sh(sandbox, "wc -c <alive; sleep 0.3; wc -c <alive").output.split()
    assert before == after
    assert sandbox.kill_all() == ()


@pytest.mark.docker
def test_a_file_that_pretends_to_be_endless_is_not_streamed(sandbox: DockerSandbox) -> None:
    """Not even when no glob means it: the fetch ends at its header, and the sandbox stays usable."""
    sh(sandbox, "echo fine > a.md; truncate -s 1T big.txt")
    with pytest.raises(SpoiledError, match="narrower glob"):
        sandbox.fetch(["*.md"], max_bytes=1000)
    assert sandbox.fetch(["a.md"], max_bytes=1000) == {"a.md": b"fine\n"}


@pytest.mark.docker
def test_an_image_without_a_shell_fails_set_up(image: str, engine: Any) -> None:
    """Found out later, it would seem to be the agent's doing."""
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    name = f"specbench-test-{uuid.uuid4().hex[:8]}"
    engine.api.import_image_from_data(empty.getvalue(), repository=name, tag="1")
    try:
        with pytest.raises(InfrastructureError) as caught:
            DockerBackend().start(replace(SPEC, image=f"{name}:1", labels={"org.specbench.test": "no-shell"}))
    finally:
        engine.images.remove(f"{name}:1", force=True)
    assert caught.value.cause in (Cause.SETUP_FAILED, Cause.SANDBOX_FAILED)
    assert engine.containers.list(all=True, filters={"label": "org.specbench.test=no-shell"}) == []


@pytest.mark.docker
def test_the_kernels_peak_begins_with_the_measuring_where_it_can(sandbox: DockerSandbox) -> None:
    """And says since when it is."""
    sandbox.exec(["python3", "-c", "x = bytearray(80_000_000)"], timeout_sec=60)
    sandbox.start_measuring()
    sandbox.exec(["true"], timeout_sec=60)
    usage = sandbox.stop_measuring()
    assert usage.kernel_peak_memory_mb is not None
    reset = any("since measuring began" in note for note in usage.notes)
    assert (usage.kernel_peak_memory_mb < 60) is reset


@pytest.mark.docker
def test_a_fork_bomb_ends_at_its_deadline(sandbox: DockerSandbox) -> None:
    assert sh(sandbox, "bomb() { bomb | bomb & bomb; }; bomb; sleep 300", 1.5).exit_code in (None, 2)
    sandbox.kill_all()
    assert sandbox.kill_all() == ()
    assert sh(sandbox, "echo alive").output == b"alive\n"


@pytest.mark.docker
def test_without_tools_in_the_image_the_whole_container_is_restarted(sandbox: DockerSandbox) -> None:
    """An agent that removes `grep` does not get past its deadline."""
    sh(sandbox, "rm $(command -v grep)")
    assert sh(sandbox, "setsid sleep 300 & sleep 300", 1).timed_out
    assert sandbox.kill_all() == ()


@pytest.mark.docker
def test_processes_of_other_users_die_at_the_deadline_too(sandbox: DockerSandbox) -> None:
    script = "import os\nos.setgid(1234); os.setuid(1234)\nos.execvp('sleep', ['sleep', '300'])"
    assert sandbox.exec(["python3", "-c", script], timeout_sec=1).timed_out
    assert sandbox.kill_all() == ()


def routes(sandbox: DockerSandbox) -> int:
    return len(sh(sandbox, "cat /proc/net/route").output.splitlines()) - 1


@pytest.mark.docker
def test_each_phase_has_its_network(sandbox: DockerSandbox) -> None:
    """None to bridge and back, and a restart by `kill_all` changes nothing."""
    assert routes(sandbox) == 0
    sandbox.set_network("bridge")
    assert routes(sandbox) > 0
    sh(sandbox, "sleep 300 >/dev/null 2>&1 &")
    assert len(sandbox.kill_all()) == 1
    assert routes(sandbox) > 0
    sandbox.set_network("none")
    assert routes(sandbox) == 0
    sh(sandbox, "sleep 300 >/dev/null 2>&1 &")
    assert len(sandbox.kill_all()) == 1
    assert routes(sandbox) == 0
    sandbox.set_network("bridge")
    assert routes(sandbox) > 0


@pytest.mark.docker
def test_the_first_phases_network_is_there_at_once(image: str) -> None:
    sandbox = DockerBackend().start(replace(SPEC, networks=("bridge", "none")))
    try:
        assert routes(sandbox) > 0
    finally:
        sandbox.close()


@pytest.mark.docker
@pytest.mark.parametrize("user", ["nobody", "1234:1234", "1234"])
def test_another_user_owns_the_workdir_and_what_is_put(image: str, user: str) -> None:
    """And is killed at the deadline, and cannot touch what root owns."""
    sandbox = DockerBackend().start(replace(SPEC, user=user))
    try:
        sandbox.put(tar({"a/b": b"1"}), "fixture")
        assert sh(sandbox, "echo more >> fixture/a/b && touch fixture/new new").exit_code == 0
        assert sh(sandbox, "touch /etc/x").exit_code != 0
        assert sh(sandbox, "setsid sleep 300 & sleep 300", 1).timed_out
        assert sandbox.kill_all() == ()
    finally:
        sandbox.close()


@pytest.fixture(scope="module")
def with_links(engine: Any, image: str) -> Iterator[str]:
    """An image in which some paths are links: to a folder, to nothing, through another link, to themselves."""
    made = engine.containers.run(
        image,
        ["sh", "-c", "mkdir /app /a; touch /app/there; ln -s /app /w; ln -s /no/such /n; ln -s ../w /a/b; ln -s /l /l"],
        detach=True,
    )
    try:
        assert made.wait()["StatusCode"] == 0
        name = f"specbench-test-links:{made.short_id}"
        made.commit(*name.split(":"))
    finally:
        made.remove(force=True)
    yield name
    engine.images.remove(name, force=True)


@pytest.mark.docker
@pytest.mark.parametrize(
    ("workdir", "real", "user"),
    [("/w", "/app", None), ("/w", "/app", "1234:1234"), ("/a/b", "/app", None), ("/n", "/no/such", None)],
)
def test_a_workdir_that_is_a_link_is_the_folder_that_it_leads_to(
    with_links: str, workdir: str, real: str, user: str | None
) -> None:
    sandbox = DockerBackend().start(replace(SPEC, image=with_links, workdir=workdir, user=user))
    try:
        sandbox.put(tar({"put": b"1"}), ".")
        made = sh(sandbox, f"echo 2 > made && [ -L {workdir} ] && pwd -P && ls")
        assert made.output.decode().split() == [real, "made", "put", *(["there"] if real == "/app" else [])]
        assert {*sandbox.fetch(["*"], max_bytes=1000)} == {*made.output.decode().split()[1:]}
        assert sandbox.workdir == real
        sh(sandbox, "cd /; rm -rf $OLDPWD/*; ln -s /etc $OLDPWD/out")
        assert sandbox.fetch(["**", "out/*"], max_bytes=1000) == {}
    finally:
        sandbox.close()


@pytest.mark.docker
@pytest.mark.parametrize("workdir", ["/l", "/app/there"])
def test_a_workdir_that_can_be_no_folder_fails_set_up(with_links: str, workdir: str) -> None:
    with pytest.raises(InfrastructureError, match="no folder") as caught:
        DockerBackend().start(replace(SPEC, image=with_links, workdir=workdir))
    assert caught.value.cause is Cause.SETUP_FAILED


@pytest.mark.docker
def test_a_user_whom_the_image_does_not_know_fails_set_up_and_leaves_nothing(image: str, engine: Any) -> None:
    spec = replace(SPEC, user="nobody-of-that-name", labels={"org.specbench.test": "unknown-user"})
    with pytest.raises(InfrastructureError, match="does not know the user") as caught:
        DockerBackend().start(spec)
    assert caught.value.cause is Cause.SETUP_FAILED
    assert engine.containers.list(all=True, filters={"label": "org.specbench.test=unknown-user"}) == []


@pytest.mark.docker
def test_more_cpus_than_the_host_has_block(image: str) -> None:
    with pytest.raises(BlockedError) as caught:
        DockerBackend().start(replace(SPEC, cpus=1000.0))
    assert caught.value.cause is Cause.HOST_TOO_SMALL


@pytest.mark.docker
@pytest.mark.parametrize(("name", "hint"), [("no-such-image:0", "docker pull no-such-image:0")])
def test_a_missing_image_is_never_pulled(engine: Any, name: str, hint: str) -> None:
    for call in (lambda: DockerBackend().identify(name), lambda: DockerBackend().start(replace(SPEC, image=name))):
        with pytest.raises(BlockedError) as caught:
            call()
        assert (caught.value.cause, caught.value.hint) == (Cause.IMAGE_MISSING, hint)


@pytest.mark.docker
def test_a_container_that_someone_removed_is_an_infrastructure_failure(sandbox: DockerSandbox, engine: Any) -> None:
    """In particular no empty result of `fetch`; closing stays quiet."""
    engine.containers.get(sandbox._container).remove(force=True)
    for call in (
        lambda: sandbox.fetch(["*"], max_bytes=1),
        lambda: sandbox.exec(["true"], timeout_sec=5),
        lambda: sandbox.put(tar({"a": b""}), "."),
        sandbox.kill_all,
        sandbox.start_measuring,
    ):
        with pytest.raises(InfrastructureError, match=r"^cannot ") as caught:
            call()
        assert isinstance(caught.value.__cause__, NotFound)
    sandbox.close()


@pytest.mark.docker
def test_closing_removes_the_container(sandbox: DockerSandbox, engine: Any) -> None:
    container = sandbox._container
    sandbox.close()
    assert container not in [one.id for one in engine.containers.list(all=True)]


@pytest.mark.docker
def test_keeping_cuts_every_network_whichever_was_asked_for(image: str, engine: Any) -> None:
    """Also one that a switch which was left behind connected without anybody's knowing."""
    sandbox = DockerBackend().start(SPEC)
    try:
        engine.api.disconnect_container_from_network(sandbox._container, "none")
        engine.api.connect_container_to_network(sandbox._container, "bridge")
        sandbox.keep()
        container = engine.containers.get(sandbox._container)
        assert not container.attrs["NetworkSettings"]["Networks"]
        assert container.attrs["State"]["Running"]
        with pytest.raises(InfrastructureError, match="closed"):
            sandbox.set_network("bridge")
    finally:
        engine.api.remove_container(sandbox._container, force=True)


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "nonsense://x"])
def test_without_an_engine_it_says_so_and_how_to_start_one(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    availability = DockerBackend().availability()
    assert not availability.usable
    assert availability.reason.startswith("no Docker engine answers")
    assert "docker info" in str(availability.hint)
    for call in (lambda: DockerBackend().identify("x"), lambda: DockerBackend().start(SPEC)):
        with pytest.raises(BlockedError) as caught:
            call()
        assert caught.value.cause is Cause.ENGINE_MISSING
    assert choose_sandbox("auto").name == "local"


@pytest.fixture
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a docker that has the context `near`, and `gone` as the current one, which is not there."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"currentContext": "gone"}')
    for name, content in (("near", json.dumps(NEAR)), ("broken", "{")):
        folder = tmp_path / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text(content)
    return tmp_path


NEAR = {"Name": "near", "Metadata": {}, "Endpoints": {"docker": {"Host": "unix:///near.sock", "SkipTLSVerify": False}}}


def test_the_environment_names_the_docker_context(contexts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "near")
    assert address() == "unix:///near.sock"
    monkeypatch.setenv("DOCKER_HOST", "unix:///other.sock")
    assert address().endswith("/other.sock")
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert address() == ""


@pytest.mark.parametrize("name", ["", "gone", "broken"])
def test_a_docker_context_that_is_not_there_is_never_another_engine(
    contexts: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", name)
    availability = DockerBackend().availability()
    assert not availability.usable
    assert (name or "gone") in availability.reason
    with pytest.raises(BlockedError, match=name or "gone") as caught:
        DockerBackend().start(SPEC)
    assert caught.value.cause is Cause.ENGINE_MISSING


def test_a_docker_context_is_not_looked_for_in_the_working_directory(
    contexts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(contexts)
    monkeypatch.setenv("DOCKER_CONFIG", str(contexts / "none"))
    monkeypatch.setenv("HOME", str(contexts / "none"))
    monkeypatch.setenv("DOCKER_CONTEXT", "near")
    assert not DockerBackend().availability().usable


FACTS = {
    "Id": "sha256:0",
    "Os": "linux",
    "Architecture": "arm64",
    "Variant": "v8",
    "RepoDigests": [],
    "Config": {"Env": ["A=1"], "Cmd": None, "Labels": {"org.specbench.recipe": "sha256:r"}},
    "RootFS": {"Layers": ["sha256:1", "sha256:2"]},
}


def test_a_registrys_digest_is_the_identity() -> None:
    """Of the repository that was asked for, whichever other names the image has."""
    facts = {**FACTS, "RepoDigests": ["other@sha256:9", "debian@sha256:5"]}
    identity = identity_of("docker.io/library/debian:12", facts)
    assert (identity.digest, identity.platform, identity.recipe) == ("debian@sha256:5", "linux/arm64/v8", "sha256:r")


def test_a_pinned_digest_wins_over_others() -> None:
    facts = {**FACTS, "RepoDigests": ["debian@sha256:1", "debian@sha256:5"]}
    assert identity_of("debian@sha256:5", facts).digest == "debian@sha256:5"


def test_content_is_the_identity_without_a_registry() -> None:
    """Layers and what a container sees of the configuration count; id, labels, and absent or empty do not."""
    base = identity_of("x:1", FACTS).digest
    assert base.startswith("content:sha256:")
    same = json.loads(json.dumps({**FACTS, "Id": "sha256:1"}))
    same["Config"] = {"Env": ["A=1"], "Cmd": [], "Labels": {}, "Hostname": "h"}
    assert identity_of("y:2", same).digest == base
    for change in ({"Config": {"Env": ["A=2"]}}, {"RootFS": {"Layers": ["sha256:2"]}}, {"Variant": ""}):
        assert identity_of("x:1", {**FACTS, **change}).digest != base


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("debian", "debian"),
        ("debian:12", "debian"),
        ("docker.io/library/debian:12", "debian"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("localhost:5000/a/b:1@sha256:9", "localhost:5000/a/b"),
        ("docker.io/org/name:1", "org/name"),
    ],
)
def test_the_repository_of_a_reference(reference: str, repository: str) -> None:
    assert repository_of(reference) == repository
