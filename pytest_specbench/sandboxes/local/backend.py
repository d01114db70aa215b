"""Plain processes in a private temporary folder: for machines without an engine, and for agents that are trusted.

Nothing is limited and nothing is isolated; deadlines and clean-up are as real as in a container.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.records import KeptSandbox, SandboxRecord
from pytest_specbench.sandboxes.base import Availability, ExecResult, SandboxSpec, SpoiledError, Usage
from pytest_specbench.sandboxes.closing import Closing
from pytest_specbench.sandboxes.keeping import RUN_LABEL, SCENARIO_LABEL
from pytest_specbench.sandboxes.local import files as local_files
from pytest_specbench.sandboxes.local.exec import Job, run
from pytest_specbench.sandboxes.local.processes import ProcessFamily
from pytest_specbench.sandboxes.local.usage import LocalMeter
from pytest_specbench.sandboxes.output import Output
from pytest_specbench.sandboxes.owner import is_abandoned, owner_labels

PREFIX, OWNER, MAX_NOTE = "specbench-", "owner.json", 10_000
NO_REPOSITORY = "gitdir: a sandbox of pytest-specbench, which belongs to no repository\n"
"""What git finds above the workdir: the folder for temporary files may lie in somebody's repository, into whose branch
an agent that has made no repository of its own would commit."""
KEPT = "kept"
"""Key of the note that marks a kept sandbox: what it was made for."""
KILL_SEC = 15
"""How long a command that is cut short may take to end."""
SANDBOX_TOKEN, EXEC_TOKEN = "_SPECBENCH_SANDBOX", "_SPECBENCH_EXEC"


class LocalBackend:
    """Makes folders on this machine."""

    name = "local"
    isolates = False

    def availability(self) -> Availability:
        if os.name != "posix":
            return Availability(False, "plain processes need Linux or macOS", "use the docker sandbox")
        return Availability(True, "plain processes on this machine; nothing is isolated or limited")

    def identify(self, image: str) -> None:  # noqa: ARG002 - the protocol's argument; there are no images here
        return None

    def start(self, spec: SandboxSpec) -> LocalSandbox:
        try:
            # Resolved, since processes see the real path of their folder.
            root = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
            token = secrets.token_hex(16)
            (root / OWNER).write_text(json.dumps({"token": token, "labels": owner_labels()}), "utf-8")
            (root / ".git").write_text(NO_REPOSITORY, "utf-8")
            for name in ("work", "home", "tmp"):
                (root / name).mkdir()
        except OSError as error:
            raise InfrastructureError(f"cannot make a folder for the local sandbox: {error}") from error
        return LocalSandbox(root, spec, token)

    def reap(self) -> tuple[str, ...]:
        removed: list[str] = []
        for note in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNER}"):
            token = _abandoned_token(note)
            if token is None:
                continue
            root = note.parent.resolve()
            with suppress(InfrastructureError):
                ProcessFamily((SANDBOX_TOKEN, token), root).kill()
                _remove(root)
                removed.append(f"folder {root}")
        return tuple(removed)

    def abandoned(self) -> tuple[str, ...]:
        notes = Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNER}")
        return tuple(f"folder {note.parent.resolve()}" for note in notes if _abandoned_token(note) is not None)

    def kept(self) -> tuple[KeptSandbox, ...]:
        notes = Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNER}")
        return tuple(filter(None, map(_kept, notes)))

    def remove_kept(self) -> tuple[str, ...]:
        removed: list[str] = []
        for each in self.kept():
            with suppress(InfrastructureError):
                _remove(Path(each.name))
                removed.append(f"folder {each.name}")
        return tuple(removed)


class LocalSandbox:
    """One private folder, and the processes started in it. Its `workdir` is not the scenario's."""

    def __init__(self, root: Path, spec: SandboxSpec, token: str) -> None:
        self._root = root
        self._labels = spec.labels
        self._work = root / "work"
        self.workdir = str(self._work)
        self._token = token
        self._environment = {
            # The one thing taken from the host: without it no tool would be found.
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "tmp"),
            "PWD": self.workdir,
            # So that git says "not a git repository", as in any other folder; NO_REPOSITORY is for who clears it.
            "GIT_CEILING_DIRECTORIES": str(root),
            **spec.environment,
        }
        self._family = ProcessFamily((SANDBOX_TOKEN, self._token), root)
        self._meter: LocalMeter | None = None
        self._closing = Closing()
        self._removing = threading.Lock()
        self._removed = False

    def exec(
        self,
        command: Sequence[str],
        *,
        timeout_sec: float,
        environment: Mapping[str, str] | None = None,
        on_output: Callable[[bytes], None] | None = None,
        max_output: int = 1_000_000,
    ) -> ExecResult:
        started = time.monotonic()
        output = Output(max_output, on_output)
        token = (EXEC_TOKEN, secrets.token_hex(16))
        known = {SANDBOX_TOKEN: self._token, token[0]: token[1]}
        job = Job(
            command, self._work, {**self._environment, **(environment or {}), **known}, token, started + timeout_sec
        )
        code = None
        with self._closing.watch() as closing:
            if timeout_sec > 0:
                ended = run(job, output, self._family, closing)
                code = ended.exit_code
                if self._meter is not None:
                    self._meter.add(ended.cpu_sec)
                    self._meter.add_first_look(ended.first_look)
        return ExecResult(code, output.kept(), output.truncated, (time.monotonic() - started) * 1000)

    def put(self, archive: bytes, target: str) -> None:
        self._refuse_when_closed()
        try:
            local_files.put(archive, self._root, self._work, target)
        except OSError as error:
            raise InfrastructureError(f"cannot put files into {target!r}: {error}") from error

    def fetch(self, paths: Sequence[str], *, max_bytes: int) -> dict[str, bytes]:
        self._refuse_when_closed()
        try:
            return local_files.fetch(self._work, paths, max_bytes)
        except PermissionError as error:
            raise SpoiledError(f"cannot fetch {', '.join(paths)}: {error}") from error
        except OSError as error:
            raise InfrastructureError(f"cannot fetch {', '.join(paths)}: {error}") from error

    def set_network(self, network: Literal["none", "bridge"]) -> None:
        """Does nothing: a process has the machine's network. `record` says that this is not enforced."""

    def start_measuring(self) -> None:
        self._meter = LocalMeter(self._family)

    def stop_measuring(self) -> Usage:
        meter, self._meter = self._meter, None
        if meter is None:
            reason = "measuring was not started"
            names = ("cpu_ms", "peak_memory_mb", "kernel_peak_memory_mb")
            return Usage(None, None, None, out_of_memory=False, reasons=dict.fromkeys(names, reason))
        return meter.finish()

    def kill_all(self) -> tuple[str, ...]:
        killed = self._family.kill()
        if self._meter is not None:
            self._meter.add_killed(killed)
        return tuple(one.command for one in killed)

    def close(self) -> None:
        self._closing.close()
        with self._removing:
            if self._removed:
                return
            if self._meter is not None:
                self._meter.finish()
            self._family.kill()
            _remove(self._root)
            self._removed = True

    def keep(self) -> KeptSandbox:
        self._closing.close()
        with self._removing:
            if self._removed or not self._closing.wait_until_unwatched(KILL_SEC):
                raise InfrastructureError("the sandbox is removed already, or a command in it does not end")
            if self._meter is not None:
                self._meter.finish()
            self._family.kill()
            kept = _described(self._root, self._labels)
            note = {"token": self._token, "labels": owner_labels(), KEPT: dict(self._labels)}
            try:
                # Renamed into its place: the note is whole, whenever another run looks for what dead ones left.
                (self._root / f"{OWNER}.new").write_text(json.dumps(note), "utf-8")
                (self._root / f"{OWNER}.new").replace(self._root / OWNER)
            except OSError as error:
                raise InfrastructureError(f"cannot mark the local sandbox as kept: {error}") from error
            self._removed = True
        return kept

    def record(self) -> SandboxRecord:
        enforced = dict.fromkeys(("cpus", "memory", "pids", "network"), False)
        return SandboxRecord(backend="local", image=None, enforced=enforced)

    def _refuse_when_closed(self) -> None:
        if self._closing.closed:
            raise InfrastructureError("the sandbox was closed")


def _abandoned_token(note: Path) -> str | None:
    """The token of a local sandbox whose owner is gone; None for any other folder, above all another user's."""
    try:
        data = _read(note)
        token, labels = data["token"], data["labels"]
        return token if KEPT not in data and isinstance(token, str) and token and is_abandoned(labels) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _kept(note: Path) -> KeptSandbox | None:
    """The local sandbox of a note, when it is a kept one of this user's."""
    try:
        return _described(note.parent.resolve(), _read(note)[KEPT])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _read(note: Path) -> dict[str, Any]:
    """What a note says. Raises OSError when it is not this user's own, and ValueError when it is no note."""
    if any(path.lstat().st_uid != os.getuid() for path in (note, note.parent)) or note.is_symlink():
        raise PermissionError(f"{note} is another user's")
    content: dict[str, Any] = json.loads(note.read_bytes()[:MAX_NOTE])
    return content


def _described(root: Path, labels: Mapping[str, str]) -> KeptSandbox:
    return KeptSandbox(
        name=str(root),
        run_id=labels.get(RUN_LABEL, ""),
        scenario_id=labels.get(SCENARIO_LABEL, ""),
        enter=f"cd {shlex.quote(str(root / 'work'))}",
        remove=f"rm -rf {shlex.quote(str(root))}",
    )


def _remove(root: Path) -> None:
    """Remove a folder with all that is in it, also what was made read-only.

    By programs, for unlike Python's own functions they manage any depth and any length of a path.
    """
    said = b""
    for program in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        try:
            said = subprocess.run([*program, "--", str(root)], capture_output=True, check=False).stderr
        except OSError as error:
            said = str(error).encode()
    if os.path.lexists(root):
        raise InfrastructureError(
            f"cannot remove the local sandbox: {said.decode(errors='replace').strip()[-300:]}",
            hint=f"remove it by hand: rm -rf {root}",
        )
