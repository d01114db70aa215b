"""What `auto` means on this machine: containers where they work, else plain processes, and why."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_specbench.core.errors import BlockedError, SpecbenchError
from pytest_specbench.core.settings import RUNNER_IMAGE
from pytest_specbench.core.status import Cause
from pytest_specbench.core.user_cache import user_cache
from pytest_specbench.sandboxes import SANDBOXES
from pytest_specbench.sandboxes.runner import build_runner

if TYPE_CHECKING:
    from pytest_specbench.sandboxes.base import SandboxBackend

BUILD_SEC = 900.0
"""How long another process's build of the same image is waited for."""


@dataclass(frozen=True)
class Choice:
    """The sandbox to use, and why in one line."""

    name: str
    reason: str


def choose_sandbox(requested: str, image: str = RUNNER_IMAGE) -> Choice:
    """Resolve `auto`; any other name is returned as it is.

    `docker` when an engine answers and `image` is there, or is the runner image and can be built; else `local`.
    Processes that choose at the same time build once.
    """
    if requested != "auto":
        return Choice(requested, "asked for")
    try:
        backend: SandboxBackend = SANDBOXES.load("docker")()
        availability = backend.availability()
        if not availability.usable:
            return Choice("local", _line(availability.reason))
        how = _ensure(backend, image)
    except SpecbenchError as error:
        return Choice("local", _line(error.message))
    except (OSError, TimeoutError) as error:
        return Choice("local", _line(f"the image {image} cannot be built: {error}"))
    return Choice("docker", f"{availability.reason}, and the image {image} {how}")


def _ensure(backend: SandboxBackend, image: str) -> str:
    if _is_there(backend, image):
        return "is there"
    if image != RUNNER_IMAGE:
        backend.identify(image)
    from filelock import FileLock  # here, since it brings asyncio along

    with FileLock(_lock_file(image), timeout=BUILD_SEC):
        if _is_there(backend, image):
            return "was built by another process"
        build_runner(tag=image)
        return "was built"


def _is_there(backend: SandboxBackend, image: str) -> bool:
    try:
        backend.identify(image)
    except BlockedError as error:
        if error.cause is not Cause.IMAGE_MISSING:
            raise
        return False
    return True


def _lock_file(image: str) -> Path:
    folder = user_cache() or Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"build-{image.replace('/', '_').replace(':', '_')}.lock"


def _line(text: str) -> str:
    """The first line of a longer explanation."""
    return text.splitlines()[0] if text else "unknown"
