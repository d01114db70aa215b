"""A sandbox over a plain folder, for tests of what stands on the protocol: it runs commands, and isolates nothing."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pytest_specbench.core.records import SandboxRecord
from pytest_specbench.sandboxes.base import ExecResult, FetchTooLargeError, Usage
from pytest_specbench.sandboxes.globs import compile_globs

PATH = os.environ.get("PATH", os.defpath)


class FolderSandbox:
    """Implements `Sandbox`; `puts` notes where archives went, `commands` what ran."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.workdir = str(folder)
        self.puts: list[str] = []
        self.commands: list[list[str]] = []

    def exec(
        self,
        command: Sequence[str],
        *,
        timeout_sec: float,
        environment: Mapping[str, str] | None = None,
        on_output: Callable[[bytes], None] | None = None,
        max_output: int = 1_000_000,
    ) -> ExecResult:
        self.commands.append(list(command))
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={"PATH": PATH, "HOME": str(self.folder), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        killed = threading.Event()

        def kill() -> None:
            killed.set()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(timeout_sec, kill)
        timer.start()
        output = bytearray()
        assert process.stdout is not None
        with process.stdout as stream:
            while chunk := stream.read1():
                output += chunk
                if on_output:
                    on_output(chunk)
        code = process.wait()
        timer.cancel()
        duration = (time.monotonic() - started) * 1000
        exit_code = None if killed.is_set() else 128 - code if code < 0 else code
        return ExecResult(exit_code, bytes(output[:max_output]), len(output) > max_output, duration)

    def put(self, archive: bytes, target: str) -> None:
        self.puts.append(target)
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            opened.extractall(self.folder / target, filter="data")

    def fetch(self, paths: Sequence[str], *, max_bytes: int) -> dict[str, bytes]:
        globs = compile_globs(paths)
        found = {}
        for root, _, names in os.walk(self.folder):
            for path in (Path(root, name) for name in names):
                relative = path.relative_to(self.folder).as_posix()
                if path.is_file() and not path.is_symlink() and any(glob.matches(relative) for glob in globs):
                    found[relative] = path.read_bytes()
        if sum(map(len, found.values())) > max_bytes:
            raise FetchTooLargeError(f"the files to fetch hold more than {max_bytes} bytes")
        return found

    def set_network(self, network: Literal["none", "bridge"]) -> None:
        """There is only the host's."""

    def start_measuring(self) -> None:
        """Nothing is measured."""

    def stop_measuring(self) -> Usage:
        return Usage(None, None, None, out_of_memory=False)

    def kill_all(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        """The folder is the test's."""

    def record(self) -> SandboxRecord:
        return SandboxRecord(backend="folder", image=None, enforced={})
