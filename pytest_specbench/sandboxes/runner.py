"""The runner image: a known recipe that is built on this machine."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.records import ImageIdentity
from pytest_specbench.core.settings import RUNNER_IMAGE
from pytest_specbench.core.status import Cause

DEFAULT_BASE = "debian:bookworm-slim"
BASE_VARIABLE = "SPECBENCH_RUNNER_BASE"
CONTEXT = Path(__file__).with_name("runner")
"""The build context that the package ships."""
LAST_LINES = 15


def base_image(base: str | None = None) -> str:
    """The base to build on: the argument, else SPECBENCH_RUNNER_BASE, else Debian's slim image."""
    return base or os.environ.get(BASE_VARIABLE) or DEFAULT_BASE


def recipe_hash(base: str) -> str:
    """Hash of everything that the build is made from: the files of the context and the build arguments."""
    files = {
        path.relative_to(CONTEXT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(CONTEXT.rglob("*"))
        if path.is_file()
    }
    text = json.dumps({"arguments": {"BASE": base}, "files": files}, sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def build_runner(
    base: str | None = None, tag: str = RUNNER_IMAGE, on_line: Callable[[str], None] | None = None
) -> ImageIdentity:
    """Build the runner image and return its identity. `on_line` gets the build's output as it comes.

    Raises BlockedError(ENGINE_MISSING) without an engine, and BlockedError(IMAGE_MISSING) with the build's last lines
    when it fails.
    """
    from pytest_specbench.sandboxes.docker.engine import (
        RECIPE_LABEL,
        connected,
        engine_errors,
        identity_of,
        inspect_image,
    )

    chosen = base_image(base)
    api = connected()
    try:
        with engine_errors(f"build {tag} on {chosen}"):
            events: Iterable[dict[str, Any]] = api.build(
                path=str(CONTEXT),
                tag=tag,
                buildargs={"BASE": chosen},
                labels={RECIPE_LABEL: recipe_hash(chosen)},
                rm=True,
                forcerm=True,
                decode=True,
            )
            _follow(events, chosen, on_line or (lambda _: None))
        return identity_of(tag, inspect_image(api, tag))
    finally:
        api.close()


def _follow(events: Iterable[dict[str, Any]], base: str, on_line: Callable[[str], None]) -> None:
    """Pass the build's lines on; raise when it says that it failed."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    for event in events:
        for line in str(event.get("stream") or event.get("status") or "").splitlines():
            if line.strip():
                last.append(line.rstrip())
                on_line(line.rstrip())
        if "error" in event:
            raise _failure(base, str(event["error"]).strip(), list(last))


def _failure(base: str, error: str, last: list[str]) -> BlockedError:
    shown = "".join(f"\n    {line}" for line in last)
    return BlockedError(
        f"building the runner image on {base} failed: {error}{shown}",
        cause=Cause.IMAGE_MISSING,
        expected=f"a Debian-based base image that can be pulled, or one that is here ({BASE_VARIABLE} or --base)",
        hint="specbench runner build --base IMAGE (one with git, tmux, asciinema, python3, procps needs no network)",
    )
