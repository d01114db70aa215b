"""`specbench.lock`: what the maintainers expect to observe, one entry per sandbox backend and scenario."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import Field, ValidationError

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.model import Record
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.status import Cause

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
        if os.path.lexists(path) and not path.is_file():
            raise _broken(path, "it is no regular file")  # reading a pipe would never end
        if path.stat().st_size > MAX_BYTES:
            raise _broken(path, f"it is larger than {MAX_BYTES} bytes")
        return Lock(path, LockFile.model_validate(json.loads(path.read_bytes())), found=True)
    except FileNotFoundError:
        return Lock(path, LockFile(), found=False)
    except OSError as error:
        raise _broken(path, str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise _broken(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"not JSON: {error}") from None


def update_lock(scenario_folder: Path, backend: str, scenario_id: str, facts: Mapping[str, Scalar]) -> None:
    """Write the facts of one scenario into the lock, atomically; several processes may do so at the same time."""
    path = scenario_folder / LOCK_NAME
    # The mutex lies outside of the repository: it would be an untracked file in it.
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    mutex = Path(tempfile.gettempdir()) / f"specbench-{getpass.getuser()}-{digest}.mutex"
    with FileLock(mutex):
        lock = read_lock(scenario_folder).with_entry(backend, scenario_id, facts)
        text = json.dumps(lock.content.model_dump(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(text, "utf-8")
        temporary.replace(path)


def _broken(path: Path, why: str) -> BlockedError:
    return BlockedError(
        f"the lock file cannot be read: {why}",
        cause=Cause.PARITY,
        where=str(path),
        expected='JSON as `specbench lock` writes it: {"lock": 1, "sandboxes": {BACKEND: {SCENARIO: {...}}}}',
        hint="restore it from version control, or write it anew with `specbench lock` and review the change",
    )
