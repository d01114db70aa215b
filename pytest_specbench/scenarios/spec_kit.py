"""Project trees made by the real Spec Kit, offline, and kept in a cache that is checked on every use."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import site
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

from pytest_specbench.core.errors import BlockedError, InfrastructureError, ScenarioError
from pytest_specbench.core.status import Cause
from pytest_specbench.core.tar import TarFile, make_tar
from pytest_specbench.core.user_cache import user_cache
from pytest_specbench.scenarios.tree import list_tree, read_bytes

PACKAGE = "specify-cli"
DEADLINE_SEC = 60.0
INSTALL = "pip install 'pytest-specbench[spec-kit]'"
OPTIONS = (
    *("--integration", "generic", "--integration-options=--commands-dir .agent/commands"),
    *("--script", "sh", "--ignore-agent-tools", "--non-interactive"),
)
"""A tree for any agent: POSIX scripts, and the command prompts in `.agent/commands`."""

_RECIPE = 1
"""Number of the normalisation below; part of the cache key, so that a change of it is never served old trees."""
_TIME = re.compile(rb'"(installed_at|updated_at|created_at|generated_at)": "[0-9T:.+Z-]+"')
_FIXED_TIME = rb'"\1": "2020-01-01T00:00:00+00:00"'


def project_tree(version: str | None, *, where: str, cache: Path | None = None) -> tuple[str, bytes]:
    """The Spec Kit version and the tree that it makes, as a deterministic tar archive.

    `version` must be the one that is installed; None takes any. `where` is the place that errors name. `cache` is the
    folder of made trees; None: `pytest-specbench/spec-kit` in the user's cache folder, or none if that cannot be used.
    """
    found = _installed(version, where)
    base = user_cache()
    folder = cache or (base and base / "spec-kit")
    if folder is None:
        return found, _make(where)
    from filelock import FileLock, Timeout  # here, since it brings asyncio along, and few scenarios use Spec Kit

    key = hashlib.sha256(repr((found, OPTIONS, _RECIPE)).encode()).hexdigest()[:16]
    path = folder / f"{found}-{key}.tar"
    kept = _kept(path)
    if kept is not None:
        return found, kept
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(path.with_suffix(".lock"), timeout=2 * DEADLINE_SEC):
            kept = _kept(path)
            if kept is None:
                kept = _make(where)
                _keep(path, kept)
            return found, kept
    except (OSError, Timeout):
        # A cache that cannot be written, or whose lock is held for ever, costs time and nothing else.
        return found, _make(where)


def _installed(version: str | None, where: str) -> str:
    try:
        found = installed_version(PACKAGE)
    except PackageNotFoundError as error:
        raise BlockedError(
            f"{PACKAGE} is not installed", cause=Cause.DEPENDENCY_MISSING, where=where, hint=INSTALL
        ) from error
    if version is not None and version != found:
        raise BlockedError(
            f"{PACKAGE} {found} is installed",
            cause=Cause.DEPENDENCY_MISSING,
            where=where,
            expected=f"{PACKAGE} {version}",
            hint=f"pip install '{PACKAGE}=={version}'",
        )
    return found


def _make(where: str) -> bytes:
    """Run Spec Kit in an empty folder, with a home of its own, and pack what it made."""
    with tempfile.TemporaryDirectory(prefix="specbench-") as temporary:
        folder = Path(temporary)
        home = folder / "home"
        home.mkdir()
        _run([*_COMMAND, "init", "project", *OPTIONS], folder, _environment(home))
        try:
            files = list_tree(folder, "project")
            tree = [TarFile(file.path, _normal(read_bytes(file.source)), file.executable) for file in files]
        except ScenarioError as error:
            raise InfrastructureError(
                f"{where}: {PACKAGE} exited 0 and made no usable tree: {error.message}", cause=Cause.SETUP_FAILED
            ) from error
    return make_tar(tree)


_COMMAND = (sys.executable, "-P", "-c", "from specify_cli import main; main()")


def _run(command: list[str], folder: Path, environment: dict[str, str], deadline_sec: float = DEADLINE_SEC) -> None:
    """Run to the end or to the deadline, at which its whole process group is killed."""
    pipe, merged = subprocess.PIPE, subprocess.STDOUT
    try:
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=merged, process_group=0
        ) as process:
            try:
                output, _ = process.communicate(timeout=deadline_sec)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
    except subprocess.TimeoutExpired as error:
        raise InfrastructureError(
            f"specify init did not end within {deadline_sec:g} s", cause=Cause.SETUP_FAILED
        ) from error
    except OSError as error:
        raise InfrastructureError(f"specify init could not be run: {error}", cause=Cause.SETUP_FAILED) from error
    if process.returncode != 0:
        tail = output.decode(errors="replace").strip()[-2000:]
        raise InfrastructureError(f"specify init exited {process.returncode}: {tail}", cause=Cause.SETUP_FAILED)


def _environment(home: Path) -> dict[str, str]:
    """Only what Python and Spec Kit need; the user's own site-packages stay reachable although the home is another."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUSERBASE": site.getuserbase(),
        "NO_COLOR": "1",
    }


def _normal(content: bytes) -> bytes:
    """Spec Kit writes down when it was installed; one tree must be the same at every time."""
    return _TIME.sub(_FIXED_TIME, content)


def _kept(path: Path) -> bytes | None:
    """What the cache holds, if it is still what was put in: the first line is the hash of the rest."""
    try:
        digest, _, archive = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return archive if hashlib.sha256(archive).hexdigest().encode() == digest else None


def _keep(path: Path, archive: bytes) -> None:
    """Write beside the target, then rename: a reader sees the whole of it or nothing."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(archive).hexdigest().encode() + b"\n" + archive)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
