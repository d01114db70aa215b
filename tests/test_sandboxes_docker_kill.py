"""What is left of an agent in a container: everything is dead and told, and who could not hide needs no restart."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound
from engine_support import require_runner_image, tar

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.settings import RUNNER_IMAGE
from pytest_specbench.sandboxes.base import SandboxSpec
from pytest_specbench.sandboxes.docker import backend, ipc
from pytest_specbench.sandboxes.docker import commands as docker_commands
from pytest_specbench.sandboxes.docker import sandbox as docker
from pytest_specbench.sandboxes.docker.actor import Actor, find_actor
from pytest_specbench.sandboxes.docker.backend import DockerBackend
from pytest_specbench.sandboxes.docker.exec import Command, NotStartedError
from pytest_specbench.sandboxes.docker.freeze import look_still
from pytest_specbench.sandboxes.docker.sandbox import DockerSandbox
from pytest_specbench.sandboxes.output import Output

USER = "1000:1000"
SPEC = SandboxSpec(RUNNER_IMAGE, 0.5, 128, 64, "/work/deep", USER, ("none",), {}, {"org.specbench.test": "kill"})


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


def started(sandbox: DockerSandbox) -> str:
    state: dict[str, Any] = sandbox._api.inspect_container(sandbox._container)["State"]
    assert state["Running"]
    assert not state["Paused"]
    return str(state["StartedAt"])


def acts(sandbox: DockerSandbox, script: str) -> tuple[str, ...]:
    """What is told to be left of a command of the agent."""
    sandbox.start_measuring()
    sh(sandbox, script)
    sandbox.stop_measuring()
    return sandbox.kill_all()


@pytest.mark.docker
@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("user", [USER, "nobody", "1234"])
def test_a_container_in_which_an_unprivileged_agent_left_nothing_goes_on(image: str, user: str) -> None:
    sandbox = DockerBackend().start(replace(SPEC, user=user))
    try:
        before = started(sandbox)
        assert acts(sandbox, "echo hello > hello; sleep 0.1 & wait") == ()
        assert started(sandbox) == before
        assert sh(sandbox, "cat hello").output == b"hello\n"
    finally:
        sandbox.close()


@pytest.mark.docker
@pytest.mark.parametrize("user", [None, "root", "0:0", "0", "0:1000", "1000:0"])
def test_a_container_in_which_root_acted_is_always_restarted(image: str, user: str | None) -> None:
    """A group alone is no root."""
    sandbox = DockerBackend().start(replace(SPEC, user=user))
    try:
        before = started(sandbox)
        assert acts(sandbox, "true") == ()
        assert (started(sandbox) == before) is (user == "1000:0")
    finally:
        sandbox.close()


LEFT = {
    "a daemon": ("setsid sleep 300 >/dev/null 2>&1 &", "sleep 300"),
    "forked twice, and holding the output": ("(setsid sh -c 'sleep 300 & exec sleep 301' &)", "sleep 30"),
    "it ignores what can be ignored": (
        "setsid sh -c \"trap '' TERM HUP INT QUIT; >on; while :; do sleep 300; done\" & until [ -e on ]; do :; done",
        "sleep 300",
    ),
    "stopped": ("setsid sleep 300 >/dev/null 2>&1 & kill -STOP $!", "sleep 300"),
    "by another name": ("cp $(command -v sleep) mine; setsid ./mine 300 >/dev/null 2>&1 &", "./mine 300"),
}


@pytest.mark.docker
@pytest.mark.parametrize(("script", "told"), LEFT.values(), ids=LEFT)
def test_what_an_agent_leaves_running_is_told_and_dead(sandbox: DockerSandbox, script: str, told: str) -> None:
    before = started(sandbox)
    left = acts(sandbox, script)
    assert left
    assert all(told in command for command in left)
    assert started(sandbox) != before
    assert sandbox.kill_all() == ()


HIDDEN = {
    "it forks and ends all the time": """
import os
while True:
    open("/work/deep/alive", "a").write("x")
    if os.fork():
        os._exit(0)
""",
    "its main thread has ended": """
import ctypes, threading
def write():
    while True:
        open("/work/deep/alive", "a").write("x")
threading.Thread(target=write).start()
ctypes.CDLL(None).pthread_exit(None)
""",
    "as many as there may be": """
import os
while True:
    open("/work/deep/alive", "a").write("x")
    try:
        os.fork()
    except OSError:
        pass
""",
    "it attacks the keeper and init": """
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
roots = [int(name) for name in os.listdir("/proc") if name.isdigit() and os.stat(f"/proc/{name}").st_uid == 0]
libc.setsid()
while True:
    open("/work/deep/alive", "a").write("x")
    for pid in [1, *roots]:
        for attack in (
            lambda: os.kill(pid, signal.SIGKILL),
            lambda: libc.ptrace(16, pid, None, None),
            lambda: open(f"/proc/{pid}/mem", "r+b").close(),
            lambda: open(f"/proc/{pid}/oom_score_adj", "w").write("1000"),
            lambda: libc.prlimit(pid, 7, b"\\0" * 16, None),
        ):
            try:
                attack()
            except OSError:
                pass
""",
}
"""PTRACE_ATTACH is 16, RLIMIT_NOFILE 7."""


@pytest.mark.docker
@pytest.mark.parametrize("program", HIDDEN.values(), ids=HIDDEN)
def test_a_program_that_hides_is_seen_told_and_dead(sandbox: DockerSandbox, program: str) -> None:
    """And so are all of its descendants, though none of them need exist for long."""
    sandbox.put(tar({"hide.py": program.encode()}), ".")
    before = started(sandbox)
    script = "setsid python3 hide.py >/dev/null 2>&1 & until [ -s alive ]; do sleep 0.05; done"
    assert acts(sandbox, script)
    assert started(sandbox) != before
    look = "wc -c <alive; cat /proc/[0-9]*/comm | grep -c python; sleep 0.3; wc -c <alive"
    size, pythons, later = sh(sandbox, look).output.split()
    assert (size, pythons) == (later, b"0")
    assert sandbox.kill_all() == ()


@pytest.mark.docker
def test_the_keeper_and_init_survive_an_unprivileged_agent(sandbox: DockerSandbox) -> None:
    before = started(sandbox)
    assert acts(sandbox, "kill -9 -1 2>/dev/null; kill -9 1 2>/dev/null; true") == ()
    assert started(sandbox) == before


@pytest.mark.docker
def test_a_set_user_id_program_of_root_makes_nobody_root(sandbox: DockerSandbox) -> None:
    """What it left is told like anything else."""
    as_root(sandbox, "cp $(command -v python3) /usr/bin/up && chmod 6755 /usr/bin/up")
    program = "import os, time; open('ids', 'w').write(str(os.getresuid())); time.sleep(300)"
    script = f'setsid /usr/bin/up -c "{program}" >/dev/null 2>&1 & until [ -s ids ]; do sleep 0.05; done'
    (left,) = acts(sandbox, script)
    assert "/usr/bin/up" in left
    assert sh(sandbox, "cat ids").output == b"(1000, 1000, 1000)"


SYSTEM_V = """python3 -c "import ctypes; assert ctypes.CDLL(None).{} >= 0" """
KEPT = {
    "shared memory": "echo x > /dev/shm/x",
    "an empty file in it": ": > /dev/shm/x",
    "a hidden folder in it": "mkdir /dev/shm/..x",
    "a link in it that leads nowhere": "ln -s nowhere /dev/shm/.x",
    "a queue of messages": ": > /dev/mqueue/x",
    "an empty queue of messages of System V": SYSTEM_V.format("msgget(7, 0o1666)"),
    "semaphores of System V": SYSTEM_V.format("semget(7, 1, 0o1666)"),
    "shared memory of System V that nobody wrote to": SYSTEM_V.format("shmget(7, 4096, 0o1666)"),
    "a connection that is over": """python3 -c "
import socket
a = socket.create_server(('127.0.0.1', 8080)); b = socket.create_connection(('127.0.0.1', 8080)); c, _ = a.accept()
c.close(); b.recv(1); b.close()
" """,
}


@pytest.fixture(params=["from the host", "from inside"])
def seen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is seen from the host by root, and from inside where nobody is root."""
    if request.param == "from inside":
        monkeypatch.setattr(ipc, "is_empty", lambda pid, proc: None)


@pytest.mark.docker
@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("script", KEPT.values(), ids=KEPT)
def test_what_is_no_process_and_yet_no_file_is_gone_too(sandbox: DockerSandbox, script: str) -> None:
    """Nothing of it sways the verification, as that the port cannot be listened on."""
    before = started(sandbox)
    assert acts(sandbox, script) == ()
    assert started(sandbox) != before
    look = "ls -A /dev/shm /dev/mqueue; cat /proc/sysvipc/* | wc -l; grep -c :1F90 /proc/net/tcp"
    assert sh(sandbox, look).output == b"/dev/mqueue:\n\n/dev/shm:\n3\n0\n"


@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="entering another namespace takes root")
@pytest.mark.parametrize("script", ["true", *list(KEPT.values())[:-1]], ids=["nothing", *list(KEPT)[:-1]])
def test_what_is_left_in_another_namespace_is_seen_from_here(sandbox: DockerSandbox, script: str) -> None:
    state: dict[str, Any] = sandbox._api.inspect_container(sandbox._container)["State"]
    assert sh(sandbox, script).exit_code == 0
    before = Path("/proc/thread-self/ns/ipc").stat().st_ino
    assert ipc.is_empty(state["Pid"]) is (script == "true")
    assert Path("/proc/thread-self/ns/ipc").stat().st_ino == before


def test_a_namespace_that_may_not_be_entered_says_nothing(tmp_path: Path) -> None:
    for folder in ("1/root/dev/shm", "1/root/dev/mqueue", "1/ns", "sysvipc"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("1/ns/ipc", "sysvipc/msg", "sysvipc/sem", "sysvipc/shm"):
        (tmp_path / name).write_text("header\n")
    assert ipc.is_empty(1, proc=tmp_path) is None  # a file that is no namespace
    assert ipc.is_empty(2, proc=tmp_path) is None


@pytest.mark.docker
def test_a_command_that_the_engine_may_still_start_leaves_nothing_proved(sandbox: DockerSandbox) -> None:
    """It was killed before it was there to be killed, and would run in the next phase."""
    sandbox.start_measuring()
    late = sandbox._api.exec_create(sandbox._container, ["sleep", "300"])
    before = started(sandbox)
    assert sandbox.kill_all() == ()
    assert started(sandbox) != before
    with pytest.raises(NotFound):
        sandbox._api.exec_start(late["Id"], detach=True)


@pytest.mark.docker
def test_a_kill_that_fails_because_everything_was_killed_kills_nothing_more(
    sandbox: DockerSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a command which was left behind at the agent's deadline: the next phase has begun."""
    lives = []

    def too_late(run: Any, token: str) -> bool:
        sandbox.kill_all()
        lives.append(started(sandbox))
        return False

    before = started(sandbox)
    with monkeypatch.context() as patch:
        patch.setattr(docker_commands, "kill_token", too_late)
        assert sh(sandbox, "sleep 300", 0.5).timed_out
    assert lives == [started(sandbox)] != [before]
    with monkeypatch.context() as patch:
        patch.setattr(docker_commands, "kill_token", lambda run, token: False)
        assert sh(sandbox, "sleep 300", 0.5).timed_out
    assert lives != [started(sandbox)]


@pytest.mark.docker
def test_a_command_that_lost_its_container_to_the_next_phase_does_not_run_in_that(
    sandbox: DockerSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = []

    def too_late(*_: Any) -> int:
        sandbox.kill_all()
        lives.append(started(sandbox))
        raise NotStartedError(b"")

    monkeypatch.setattr(docker_commands, "run", too_late)
    monkeypatch.setattr(sandbox._commands, "_dies", lambda: True)
    assert sh(sandbox, "true").exit_code == 137
    assert lives == [started(sandbox)]


@pytest.mark.docker
def test_who_acts_is_found_out_once_for_all_containers_of_the_same_content(
    image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another image, user or environment, another file, or one that a command may have led elsewhere, makes another."""
    asked: list[Actor] = []

    def find(*arguments: Any) -> Actor:
        asked.append(find_actor(*arguments))
        return asked[-1]

    def asked_for(*, spec: SandboxSpec, file: str | None = None, command: str | None = None) -> int:
        asked.clear()
        sandbox = DockerBackend().start(spec)
        try:
            if command:
                sh(sandbox, command)
            if file:
                sandbox.put(tar({file: b""}), ".")
            sandbox.start_measuring()
            assert sandbox._actor.confined
        finally:
            sandbox.close()
        return len(asked)

    monkeypatch.setattr(docker, "find_actor", find)
    spec = replace(SPEC, environment={f"V{uuid.uuid4().hex}": "1"})
    assert [asked_for(spec=spec) for _ in range(2)] == [1, 0]
    assert asked_for(spec=replace(spec, user="1001:1001")) == 1
    assert asked_for(spec=replace(spec, environment={**spec.environment, "MORE": "1"})) == 1
    assert [asked_for(spec=spec, file="a") for _ in range(2)] == [1, 0]
    assert [asked_for(spec=spec, file="b") for _ in range(2)] == [1, 0]
    assert [asked_for(spec=spec, file="b", command="true") for _ in range(2)] == [1, 1]


@pytest.mark.docker
@pytest.mark.parametrize("user", [USER, "nobody"])
def test_a_workdir_that_programs_are_looked_for_in_confines_nobody(image: str, user: str) -> None:
    """It is the user's: who acts is looked at only when it is, and what was found of another workdir says nothing."""
    for workdir, confined in (("/work/deep", True), ("/usr/local/bin", False), ("/usr", False), ("/work/deep", True)):
        sandbox = DockerBackend().start(replace(SPEC, user=user, workdir=workdir))
        try:
            assert sandbox._actor.confined is confined
            sandbox.start_measuring()
            sandbox.kill_all()
            assert sandbox.shell_is_intact() is confined
        finally:
            sandbox.close()


@pytest.mark.docker
def test_what_keeps_it_from_starting_again_is_not_the_doing_of_who_could_not_do_it(
    sandbox: DockerSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a folder of the engine's own that is gone."""
    restart = sandbox._keeper.restart
    monkeypatch.setattr(sandbox._keeper, "restart", lambda: restart() or "overlay: no such file or directory")
    with pytest.raises(InfrastructureError, match="cannot be started again: overlay"):
        acts(sandbox, "setsid sleep 300 >/dev/null 2>&1 &")


@pytest.mark.docker
def test_a_look_that_proves_nothing_is_not_remembered(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have failed for a reason that passes."""
    spec = replace(SPEC, environment={f"V{uuid.uuid4().hex}": "1"})
    for confined in (False, True):
        with monkeypatch.context() as patch:
            if not confined:
                patch.setattr(docker, "find_actor", lambda *_: Actor(1000, 1000, confined=False))
            sandbox = DockerBackend().start(spec)
            sandbox.close()
            assert sandbox._actor.confined is confined


@pytest.mark.docker
def test_a_tag_that_is_moved_meanwhile_changes_no_container(
    image: str, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of the one image would be said of the other."""
    name = f"specbench-test-{uuid.uuid4().hex[:8]}:1"
    engine.images.get(image).tag(name)
    wanted = engine.images.get(name).id
    create = backend.create_container

    def moved(*arguments: Any, **more: Any) -> str:
        made = engine.containers.create(image, ["true"])
        made.commit(*name.split(":"), changes=["LABEL org.specbench.test=other"])
        made.remove()
        return create(*arguments, **more)

    monkeypatch.setattr(backend, "create_container", moved)
    try:
        sandbox = DockerBackend().start(replace(SPEC, image=name))
        try:
            assert engine.images.get(name).id != wanted
            assert engine.containers.get(sandbox._container).attrs["Image"] == wanted
        finally:
            sandbox.close()
    finally:
        engine.images.remove(name)


@pytest.mark.docker
def test_a_command_whose_deadline_passed_while_it_waited_never_starts(sandbox: DockerSandbox) -> None:
    output = Output(100, None)
    assert sandbox._commands.exec(Command(["touch", "late"], USER), output, time.monotonic()).code is None
    assert sh(sandbox, "ls").output == b""


@pytest.mark.docker
def test_what_was_put_may_have_given_the_agent_what_is_roots(image: str, sandbox: DockerSandbox) -> None:
    """The agent is looked at again before it acts, and what is put later leaves nothing proved."""
    sandbox.put(tar({"grep": b'#!/bin/sh\nexec /usr/bin/grep "$@"\n'}, executable=True), "/usr/local/sbin")
    before = started(sandbox)
    assert acts(sandbox, "true") == ()
    assert not sandbox._actor.confined
    assert started(sandbox) != before


@pytest.mark.docker
def test_without_a_freezer_the_container_is_restarted(sandbox: DockerSandbox, tmp_path: Path) -> None:
    """As where the engine is on another machine, whose processes are not seen here."""
    arguments = (sandbox._api, sandbox._container, sandbox._keeper, sandbox._commands.run_briefly)
    assert look_still(*arguments, root=tmp_path, proc=tmp_path) is None
    sandbox._api.pause(sandbox._container)  # so that it cannot be paused
    assert look_still(*arguments) is None
    started(sandbox)


@pytest.mark.docker
def test_a_frozen_container_can_be_removed(image: str, engine: Any) -> None:
    """One that a killed session left, for example."""
    sandbox = DockerBackend().start(SPEC)
    sandbox._api.pause(sandbox._container)
    sandbox.close()
    assert engine.containers.list(all=True, filters={"id": sandbox._container}) == []


@pytest.mark.docker
def test_a_container_that_is_gone_is_an_infrastructure_failure(sandbox: DockerSandbox) -> None:
    sandbox._api.remove_container(sandbox._container, force=True)
    with pytest.raises(InfrastructureError):
        sandbox.kill_all()


CONFINED = "Uid:\t9 9 9 9\nGid:\t8 8 8 8\n" + "".join(f"Cap{name}:\t0000\n" for name in ("Inh", "Prm", "Eff", "Amb"))
CONFINED += "NoNewPrivs:\t1\nend: reached\n"


@pytest.mark.parametrize("user", ["9:8", "somebody", "9"])
def test_who_is_confined(user: str) -> None:
    assert found(user, CONFINED) == Actor(9, 8, confined=True)


@pytest.mark.parametrize(
    ("was", "is_"),
    [
        ("9 9 9 9", "9 9 0 9"),
        ("CapEff:\t0000", "CapEff:\t0001"),
        ("CapInh:\t0000\n", ""),
        ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
        ("NoNewPrivs:\t1\n", ""),
        ("end: reached\n", ""),
        ("end: ", "mine: /usr/bin\nend: "),
    ],
)
def test_who_is_not_confined(was: str, is_: str) -> None:
    """Everything has to be said by the kernel: what is missing is not so."""
    assert was in CONFINED
    assert not found("9:8", CONFINED.replace(was, is_)).confined


@pytest.mark.parametrize(
    ("folders", "variables"), [(["/usr/bin", "bin"], []), ([""], []), (["/usr/bin"], ["LD_LIBRARY_PATH"])]
)
def test_what_is_looked_for_anywhere_confines_nobody(folders: list[str], variables: list[str]) -> None:
    assert not found("9:8", CONFINED, folders, variables).confined


def test_numbers_are_what_was_asked_for_whatever_the_image_says() -> None:
    assert found("7:8", CONFINED) == Actor(7, 8, confined=False)
    assert found("7:8", "", code=127) == Actor(7, 8, confined=False)
    assert found("0:5", CONFINED) == Actor(0, 5, confined=False)


def found(
    user: str, output: str, folders: list[str] | None = None, variables: list[str] | None = None, code: int = 0
) -> Actor:
    return find_actor(user, lambda argv, as_: (code, output.encode()), folders or ["/usr/bin"], variables or [])


IN_REACH = {
    "a folder of the PATH": "chown 1000 /usr/local/bin",
    "a folder above one": "chmod 777 /usr/local",
    "the keeper": "chown :1000 $(command -v sleep) && chmod g+w $(command -v sleep)",
    "its library": "chmod o+w $(ldd /bin/sh | grep -o '/[^ ]*libc[^ ]*')",
    "the list of users": "chmod o+w /etc/passwd",
    "a link to what is not there": "mkdir -p /var/mine && chmod 777 /var/mine && ln -s /var/mine/x /usr/local/sbin/sh",
    "a link of a link": "mkdir -m 777 /var/a && ln -s /bin/dash /var/a/sh && ln -s /var/a/sh /usr/local/bin/sh",
}


@pytest.mark.docker
@pytest.mark.parametrize("script", IN_REACH.values(), ids=IN_REACH)
def test_who_can_change_what_root_runs_is_not_confined(image: str, script: str) -> None:
    """Whatever image it is: the container is looked at, not its recipe."""
    sandbox = DockerBackend().start(SPEC)
    try:
        assert sandbox._actor.confined
        as_root(sandbox, script)
        sandbox._content = None  # another image's by now
        assert not sandbox._find_actor().confined
    finally:
        sandbox.close()


def as_root(sandbox: DockerSandbox, script: str) -> None:
    """What an image may bring: done before an agent acts."""
    code, output = sandbox._commands.run_briefly(["sh", "-c", script], "0:0")
    assert code == 0, output
