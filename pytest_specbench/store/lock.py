"""`specbench.lock`: what the maintainers expect to observe, one entry per sandbox backend and scenario."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.model import Record
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.status import Cause
from pytest_specbench.core.text import one_line
from pytest_specbench.core.user_cache import user_cache
from pytest_specbench.store.json_file import read_json

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK_NAME = "specbench.lock"
MAX_BYTES = 10_000_000


class LockFile(Record):
    """The content of a lock file."""

    lock: Literal[1] = 1
    """Version of the format."""
    sandboxes: dict[str, dict[str, dict[str, Scalar]]] = Field(default_factory=dict)
    """Backend -> scenario id -> pinned facts."""


@dataclass(frozen=True)
class Lock:
    """A lock file that was found, or the place where one would be."""

    path: Path
    content: LockFile
    found: bool

    def entry(self, backend: str, scenario_id: str) -> Mapping[str, Scalar] | None:
        """The pinned facts of a scenario in a backend; None where nothing is pinned."""
        return self.content.sandboxes.get(backend, {}).get(scenario_id)

    def with_entry(self, backend: str, scenario_id: str, facts: Mapping[str, Scalar]) -> Lock:
        """The same lock with other facts for one scenario in one backend; every other entry stays."""
        backends = {name: dict(entries) for name, entries in self.content.sandboxes.items()}
        backends.setdefault(backend, {})[scenario_id] = dict(facts)
        ordered = {name: dict(sorted(backends[name].items())) for name in sorted(backends)}
        return Lock(self.path, LockFile(sandboxes=ordered), self.found)


def read_lock(scenario_folder: Path) -> Lock:
    """The lock beside the scenario file. An unreadable one blocks: a broken pin is no missing pin."""
    path = scenario_folder / LOCK_NAME
    try:
        content = read_json(path, MAX_BYTES)
        if isinstance(content, dict) and type(content.get("lock")) is not int:
            raise _broken(path, "lock: it does not say which version of the format it has")
        return Lock(path, LockFile.model_validate(content), found=True)
    except FileNotFoundError:
        return Lock(path, LockFile(), found=False)
    except OSError as error:
        raise _broken(path, str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise _broken(path, one_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")) from None
    except ValueError as error:
        raise _broken(path, one_line(str(error))) from None


def update_lock(scenario_folder: Path, backend: str, scenario_id: str, facts: Mapping[str, Scalar]) -> None:
    """Write the facts of one scenario into the lock, atomically; several processes may do so at the same time."""
    path = scenario_folder / LOCK_NAME
    with _mutex(path):
        lock = read_lock(scenario_folder).with_entry(backend, scenario_id, facts)
        text = json.dumps(lock.content.model_dump(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(text, "utf-8")
        temporary.replace(path)


def _mutex(path: Path) -> BaseFileLock:
    """Held by one process at a time. Its file is outside of the repository, in which it would be an untracked one, and
    stays: another process may be waiting for it.
    """
    from filelock import FileLock  # here, since it brings asyncio along, and few runs write a lock

    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    folder = (user_cache() or Path(tempfile.gettempdir(), f"pytest-specbench-{os.getuid()}")) / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        usable = os.access(folder, os.W_OK)
    except OSError:
        usable = False
    if not usable:  # a home that is read-only, or none
        folder = Path(tempfile.gettempdir())
    return FileLock(folder / f"specbench-{os.getuid()}-{digest}.mutex")


def _broken(path: Path, why: str) -> BlockedError:
    return BlockedError(
        f"the lock file cannot be read: {why}",
        cause=Cause.PARITY,
        where=str(path),
        expected='JSON as `specbench lock` writes it: {"lock": 1, "sandboxes": {BACKEND: {SCENARIO: {...}}}}',
        hint="restore it from version control, or write it anew with `specbench lock` and review the change",
    )
