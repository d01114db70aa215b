"""Stops a container and starts it again, and makes sure that then only what is ours runs in it."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import requests
from docker import APIClient
from docker.errors import APIError, NotFound

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.archive import Budget, read_regular
from pytest_specbench.sandboxes.base import SpoiledError
from pytest_specbench.sandboxes.docker.container import KEEPER, is_not_running
from pytest_specbench.sandboxes.docker.engine import explain
from pytest_specbench.sandboxes.docker.files import GO_LINK, OBSTACLE, describe

COLUMNS = "-eo pid,stat,nlwp,args"
PODMANS_COLUMNS = "hpid,state,args"
"""Those that Podman finds out by itself, from outside: the process id is the host's, as it is in Docker's."""
SETTLE_SEC = 15
"""How long init may take to start the keeper."""
MAX_PROGRAM = 100_000_000
PRELOAD = PurePosixPath("/etc/ld.so.preload")
"""Names libraries that are loaded into every program, the keeper too."""
SPOILED = re.compile(
    "executable file not found|permission denied|no such file|not a directory|is a directory|exec format|too long"
)
"""How the engine says that what is in the container keeps it from starting."""
REPLACED = "the agent replaced the sandbox's own programs: the keeper's, `sleep`, or /etc/ld.so.preload"


@dataclass(frozen=True)
class Process:
    """One process, seen from outside."""

    pid: int
    command: str


class ReplacedError(Exception):
    """What would keep the container up is not what it was before the agent acted; the container stays down."""


class Keeper:
    """What keeps one container up: init and the image's `sleep`, known by process id, command line and content.

    What an agent can do to hide is taken for granted: nothing that is seen of a running container in which it acted is
    proof that it is gone (a process that forks and ends all the time is in no list, one that is traced runs what it is
    told). A stop is; and so is a look while everything is frozen, where it acted as somebody who cannot reach what is
    root's.
    """

    def __init__(self, api: APIClient, container: str, path: str, *, podman: bool) -> None:
        self._api = api
        self._container = container
        self._folders = [PurePosixPath(folder) for folder in path.split(":") if folder.startswith("/")]
        self._own: frozenset[int] = frozenset()
        self._commands: frozenset[str] = frozenset()
        self._programs: Sequence[str] | None = None
        # For other columns Podman runs the container's own `ps`, which may be the agent's by the time we look again.
        self._columns = PODMANS_COLUMNS if podman else COLUMNS

    def remember_processes(self) -> None:
        """Take what runs right after the start for ours. Raises InfrastructureError when the image cannot keep up."""
        if not self._settle():
            raise InfrastructureError(
                f"the image's `{' '.join(KEEPER)}` ends at once",
                cause=Cause.SETUP_FAILED,
                hint="name an image with a working sleep in runner.image",
            )

    def remember_programs(self) -> None:
        """Take the programs that a restart needs as they are now for ours: from now on an agent acts."""
        self._programs = self._look_at_programs()

    def others(self) -> tuple[str, ...]:
        """Command lines of what can be seen besides init and keeper."""
        return self._others_of(self._look() or [])

    def others_beside_ours(self) -> tuple[str, ...] | None:
        """The same; None unless init and keeper are seen themselves, without which an empty list proves nothing."""
        seen = self._look() or []
        return self._others_of(seen) if self._own and self._own <= {one.pid for one in seen} else None

    @property
    def sees_frozen(self) -> bool:
        """Whether the engine lists the processes of a paused container; Podman does not."""
        return self._columns == COLUMNS

    def is_own(self, pid: int) -> bool:
        """Whether that is init or keeper."""
        return pid in self._own

    def restart(self) -> str | None:
        """End everything at once and start again; return why it cannot, when that lies in what was done inside.

        Raises ReplacedError, and InfrastructureError when something else runs afterwards.
        """
        self._api.stop(self._container, timeout=0)
        if self._programs is not None and self._look_at_programs() != self._programs:
            raise ReplacedError
        try:
            self._api.start(self._container)
        except APIError as error:
            if not SPOILED.search(explain(error)):
                raise
            return explain(error)
        self._settle()
        return None

    def _others_of(self, seen: Sequence[Process]) -> tuple[str, ...]:
        return tuple(one.command for one in sorted(seen, key=lambda one: one.pid) if not self.is_own(one.pid))

    def _settle(self) -> bool:
        """Wait until init and keeper run, and nothing else; False when the container is dead.

        No event tells that init has started the keeper: so it is asked for.
        """
        end = time.monotonic() + SETTLE_SEC
        pause = 0.002
        while (seen := self._look()) is not None:
            commands = frozenset(one.command for one in seen)
            # Init's child shows the command line of init until it has become the keeper.
            if len(seen) == len(commands) == 2 and commands == (self._commands or commands):
                self._own, self._commands = frozenset(one.pid for one in seen), commands
                return True
            if time.monotonic() > end:
                told = "; ".join(sorted(commands))
                if self._commands and (len(seen) > 2 or commands - self._commands):
                    self._api.stop(self._container, timeout=0)
                    raise ReplacedError(told)
                raise InfrastructureError(f"after its start the sandbox runs: {told}", hint="restart the engine")
            time.sleep(pause)
            pause = min(pause * 2, 0.1)
        return False

    def _look(self) -> list[Process] | None:
        """What lives; None when the container is not running."""
        try:
            return _processes(self._api, self._container, self._columns)
        except APIError as error:
            if is_not_running(error):
                return None
            raise
        except requests.JSONDecodeError:
            # Podman's whole answer for a container that is not running.
            if self._api.inspect_container(self._container)["State"]["Running"]:
                raise
            return None

    def _look_at_programs(self) -> list[str]:
        """Path and content of everything called as the keeper on the PATH, and of what is loaded into it."""
        told: list[str] = []
        for number, folder in enumerate(self._folders):
            to = self._link_of(folder)
            # In most images /bin leads to /usr/bin: reading takes much longer than asking where a link leads.
            told.append(f"as {to}" if to in self._folders[:number] else self._content(folder / KEEPER[0]))
        return [*told, self._content(PRELOAD)]

    def _link_of(self, folder: PurePosixPath) -> PurePosixPath | None:
        """Where a folder that is a link leads in the end; None where it is none."""
        _, facts = describe(self._api, self._container, folder)
        return PurePosixPath(str(facts["linkTarget"])) if facts and int(facts["mode"]) & GO_LINK else None

    def _content(self, path: PurePosixPath) -> str:
        """What tells one file from another; links are followed by the engine, inside the container."""
        try:
            chunks, facts = self._api.get_archive(self._container, str(path))
            if int(facts["mode"]) & GO_LINK:
                chunks.close()
                path = PurePosixPath(str(facts["linkTarget"]))
                chunks, facts = self._api.get_archive(self._container, str(path))
            with closing(chunks):
                found = read_regular(chunks, str, Budget(MAX_PROGRAM))
        except NotFound:
            return "nothing"
        except APIError as error:
            if OBSTACLE.search(explain(error)):
                return "nothing"
            raise
        except SpoiledError:
            return "too large"
        digest = hashlib.sha256(b"".join(found.files.values())).hexdigest()
        return f"{path} {int(facts['mode'])} {digest}"


def _processes(api: APIClient, container: str, columns: str) -> list[Process]:
    """What lives. A zombie is dead unless it has threads that go on; only the state says so, a name may lie."""
    try:
        table: Any = api.top(container, ps_args=columns)
    except APIError as error:
        if is_not_running(error) or columns != COLUMNS:
            raise
        # A small `ps` knows no columns to choose.
        table = api.top(container)
    titles = [title.upper() for title in table["Titles"]]
    pid = titles.index("HPID" if "HPID" in titles else "PID")
    rows = table["Processes"] or []
    if "STAT" in titles and "NLWP" in titles:
        state, threads = titles.index("STAT"), titles.index("NLWP")
        rows = [row for row in rows if not (row[state].startswith("Z") and row[threads] in ("0", "1"))]
    # Podman shows `?` for a process that ends while it looks.
    return [Process(int(row[pid]) if row[pid].isdigit() else -1, row[-1]) for row in rows]
