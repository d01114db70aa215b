"""A Docker engine of a test's own, which may be killed, frozen and filled up: own containerd, data, socket, no network.

It leaves nothing: its containers, shims, mounts and folders are gone when the block ends, whatever became of it.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

IMAGE = "specbench-test-tiny:1"
"""What an own engine has: a shell and what the sandbox and the verifiers call."""
PROGRAMS = (
    *(
        "sh",
        "cat",
        "chmod",
        "cmp",
        "dd",
        "echo",
        "grep",
        "head",
        "id",
        "ls",
        "mkdir",
        "mktemp",
        "mv",
        "rm",
        "sleep",
        "sync",
    ),
    *("tail", "touch", "true", "yes"),
)
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Starts the program that follows with a listening socket, as systemd does."""
UP_SEC = 60
"""How long an engine may take to come up on a loaded machine."""


def require_own_engine() -> None:
    """Skip with a reason where no engine can be started, or fail where SPECBENCH_REQUIRE_ENGINE=1."""
    missing = [name for name in ("dockerd", "containerd", "runc", "mount", "umount", "unshare") if not _program(name)]
    reason = f"an engine of one's own needs {', '.join(missing)}" if missing else ""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        reason = "an engine of one's own needs root"
    if reason:
        (pytest.fail if os.environ.get("SPECBENCH_REQUIRE_ENGINE") == "1" else pytest.skip)(reason)


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of a few megabytes at `folder`. Skips, or fails, where nothing may be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "specbench-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"nothing may be mounted here: {done.stderr.strip()}"
        (pytest.fail if os.environ.get("SPECBENCH_REQUIRE_ENGINE") == "1" else pytest.skip)(message)
    try:
        yield folder
    finally:
        while os.path.ismount(folder):  # an engine mounts its data once more
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def own_engine(*, live_restore: bool = False, disk_mb: int | None = None, waits: bool = False) -> Iterator[OwnEngine]:
    """A running engine that has IMAGE; with `disk_mb` its data lie on a disk of that size.

    With `waits`, who asks while it is down waits until it is up again, as where systemd holds its socket; otherwise the
    connection is refused.
    """
    require_own_engine()
    with ExitStack() as stack:
        # A short path: a socket's has at most 107 characters.
        folder = Path(tempfile.mkdtemp(prefix="sb-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if disk_mb is not None:
            stack.enter_context(small_disk(folder / "data", disk_mb))
        listener = stack.enter_context(_listening(f"{folder}/d.sock")) if waits else None
        engine = OwnEngine(folder, live_restore=live_restore, listener=listener)
        stack.callback(engine.end)
        engine.begin()
        yield engine


@contextmanager
def _listening(path: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        yield listener


class OwnEngine:
    """The processes of one engine below `folder`. `listener` is handed over to it, where it does not listen itself."""

    def __init__(self, folder: Path, *, live_restore: bool, listener: socket.socket | None) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/d.sock"
        self._live_restore = live_restore
        self._listener = listener
        self._containerd: subprocess.Popen[bytes] | None = None
        self._dockerd: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Bring containerd and the engine up, and make the image."""
        folder = self.folder
        (folder / "c.toml").write_text(
            f'version = 2\nroot = "{folder}/c-root"\nstate = "{folder}/c-state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{folder}/c.sock"\n[ttrpc]\naddress = "{folder}/c.sock.ttrpc"\n'
        )
        self._containerd = self._start("containerd", "--config", str(folder / "c.toml"))
        _until((folder / "c.sock").exists, self._containerd, folder / "containerd.log")
        self.start()
        with self.client() as client:
            client.import_image_from_data(_tiny_root(), repository=IMAGE.partition(":")[0], tag="1")

    def start(self) -> None:
        """Start the engine, and return when it answers."""
        folder = self.folder
        flags = [
            *("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/d.pid"),
            *("--containerd", f"{folder}/c.sock", "--config-file", f"{folder}/d.json"),
            *("--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
            *(["--live-restore"] if self._live_restore else []),
        ]
        (folder / "d.json").write_text("{}")
        if self._listener is None:
            (folder / "d.sock").unlink(missing_ok=True)
            self._dockerd = self._start("dockerd", "--host", self.host, *flags)
        else:
            self._dockerd = self._start("dockerd", "--host", "fd://", *flags, listener=self._listener)
        _until(self.answers, self._dockerd, folder / "dockerd.log")

    def client(self, *, seconds: float = 60) -> Any:
        """A new client of the engine, to be used in a `with` block."""
        import docker

        return docker.APIClient(base_url=self.host, version="auto", timeout=seconds)

    def containers(self) -> list[str]:
        """Names of the containers that are there, running or not."""
        with self.client() as client:
            return [each["Names"][0] for each in client.containers(all=True)]

    def kill(self) -> None:
        """Kill the engine as by `kill -9`; its containers live on, for it has no time to end them."""
        assert self._dockerd is not None
        self._dockerd.kill()
        self._dockerd.wait()
        (self.folder / "d.pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let the engine accept connections and never answer."""
        assert self._dockerd is not None
        self._dockerd.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._dockerd is not None
        self._dockerd.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill everything of it, and unmount what it mounted."""
        containers = [each.name for each in (self.folder / "data" / "containers").glob("*")]
        for process in (self._dockerd, self._containerd):
            if process is not None:
                process.kill()
                process.wait()
        self._end_containers()
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
        for mount in sorted((each for each in mounts if each.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        groups = Path("/sys/fs/cgroup")
        for name in containers:
            for group in (*groups.glob(f"*/docker/{name}"), *groups.glob(f"docker/{name}")):
                with suppress(OSError):
                    group.rmdir()

    def _end_containers(self) -> None:
        """Shims, which name the folder on their command line, and what runs below them."""
        shims = [each for each in psutil.process_iter(["cmdline"]) if self._is_ours(each.info["cmdline"] or ())]
        family = [*(child for shim in shims for child in _children(shim)), *shims]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=UP_SEC)

    def _is_ours(self, command: Sequence[str]) -> bool:
        return any(f"{self.folder}/" in argument for argument in command)

    def _start(self, name: str, *arguments: str, listener: socket.socket | None = None) -> subprocess.Popen[bytes]:
        program = _program(name)
        assert program is not None
        # In a network of its own: an engine without a bridge removes the bridge of the machine's engine.
        command = [_program("unshare") or "unshare", "--net", "--", program, *arguments]
        if listener is not None:
            command = [sys.executable, "-S", "-I", "-c", HAND_OVER, str(listener.fileno()), *command]
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=() if listener is None else [listener.fileno()],
            )

    def answers(self) -> bool:
        """Whether it is up."""
        import docker

        try:
            with self.client(seconds=5) as client:
                return bool(client.ping())
        except (docker.errors.DockerException, OSError):
            return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until `ready`; nothing tells of it but the asking."""
    end = time.monotonic() + UP_SEC
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            pytest.fail(f"the engine does not come up:\n{log.read_text(errors='replace')[-3000:]}", pytrace=False)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)


def _tiny_root() -> bytes:
    """A root file system of programs of this machine with the libraries that they load."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for folder in ("tmp", "work"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
        libraries: set[str] = set()
        for name in PROGRAMS:
            path = shutil.which(name)
            assert path is not None, f"this machine has no {name}"
            tar.add(Path(path).resolve(), f"bin/{name}")
            libraries |= set(_libraries(path))
        for library in sorted(libraries):
            tar.add(Path(library).resolve(), library.lstrip("/"))
    return data.getvalue()


def _libraries(program: str) -> Sequence[str]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", listed)


@contextmanager
def upon(
    marks: str, act: Callable[[dict[str, Any]], object], *, host: str | None = None, scenario: str = "demo"
) -> Iterator[None]:
    """Act once, as soon as the engine tells of an event of the scenario's container whose action contains `marks`.

    `host` is its address, else it is the one that DOCKER_HOST names. Leaving the block waits until that is done, and
    fails where it never came to it.
    """
    import docker

    client = docker.APIClient(host, version="auto") if host else docker.from_env().api
    events = client.events(decode=True, filters={"type": "container", "label": f"org.specbench.scenario={scenario}"})
    acted: list[object] = []

    def watch() -> None:
        event = next((each for each in events if marks in each["Action"]), None)
        if event is not None:
            acted.append(event)
            act(event)

    watcher = threading.Thread(target=watch, name="test-upon")
    watcher.start()
    try:
        yield
    finally:
        if not acted:
            with suppress(Exception):  # what was waited for did not happen, and the stream may be over
                events.close()
        watcher.join(UP_SEC)
        client.close()
    assert acted, f"nothing with {marks!r} was ever done"
