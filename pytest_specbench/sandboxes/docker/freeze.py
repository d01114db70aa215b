"""Holds a container still, so that what is in it can be seen exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound

from pytest_specbench.sandboxes import cgroup
from pytest_specbench.sandboxes.docker import ipc
from pytest_specbench.sandboxes.docker.actor import Run
from pytest_specbench.sandboxes.docker.keeper import Keeper

SCRIPT = r"""
LC_ALL=C
for table in msg sem shm; do
  lines=0
  while read -r _; do
    lines=$((lines + 1))
    [ "$lines" -eq 1 ] || exit 4
  done <"/proc/sysvipc/$table" || exit 3
  [ "$lines" -eq 1 ] || exit 3
done
for folder in /dev/shm /dev/mqueue; do
  [ -d "$folder" ] || exit 3
  for file in "$folder"/* "$folder"/.[!.]* "$folder"/..?*; do
    if [ -e "$file" ] || [ -L "$file" ]; then exit 4; fi
  done
done
"""
"""Ends with 0 only when there is no message queue, semaphore or shared memory, be it as empty as it may.

System V's are listed below a header, of the reader's own namespace: so that has to be somebody inside.
"""


@dataclass(frozen=True)
class Still:
    """What was there while nothing moved."""

    others: tuple[str, ...]
    """Command lines of what is not ours."""
    untouched: bool
    """Nothing else is left either that only a new start would take away: no process, connection, shared memory, message
    queue or semaphore.
    """


def look_still(
    api: APIClient, container: str, keeper: Keeper, run: Run, *, root: Path = cgroup.ROOT, proc: Path = Path("/proc")
) -> Still | None:
    """Freeze the container, look, and let it go on; None where that cannot be done or seen, or where the engine may
    still start something. `run` runs a command as a user.

    The engine answers only once everything in the container's control group is frozen: nothing can fork, end or start
    meanwhile, so the list is complete. It says nothing about what our own processes were made to do: whoever asks must
    know that those who acted could not reach them.
    """
    facts = api.inspect_container(container)
    if any(_may_go_on(api, command) for command in facts.get("ExecIDs") or []):
        return None
    pid = int(facts["State"]["Pid"])
    group = cgroup.of_process(pid, container, root=root, proc=proc)
    if group is None or not keeper.is_own(pid) or not keeper.sees_frozen:
        return None
    with _frozen(api, container) as still:
        if not still:
            return None
        others = keeper.others_beside_ours()
        if others is None:
            return None
        untouched = not others and cgroup.shared_memory(group) == 0 and _is_unconnected(proc / str(pid))
        empty = ipc.is_empty(pid, proc=proc) if untouched else None
    if untouched and empty is None:
        # Who could leave something is gone by now, so what is asked may move again; and as our own it is trusted.
        empty = run(["sh", "-c", SCRIPT], "0:0")[0] == 0
    return Still(others, untouched and bool(empty))


def _may_go_on(api: APIClient, command: str) -> bool:
    """Whether a command has not ended, be it that the engine has yet to start it."""
    try:
        state: dict[str, Any] = api.exec_inspect(command)
    except NotFound:
        return True  # nothing is known of its end
    return bool(state["Running"]) or state["ExitCode"] is None


@contextmanager
def _frozen(api: APIClient, container: str) -> Iterator[bool]:
    """Freeze for the block; False where the engine cannot. Nothing stays frozen."""
    try:
        api.pause(container)
    except APIError:
        # As without a freezer, in a rootless engine, or with a process that hangs in the kernel.
        state: dict[str, Any] = api.inspect_container(container)["State"]
        if state["Paused"]:
            api.unpause(container)
        yield False
        return
    try:
        yield True
    finally:
        api.unpause(container)


def _is_unconnected(process: Path) -> bool:
    """Whether no connection is left, not even one that is over and keeps its port from being listened on again."""
    four, six = process / "net" / "sockstat", process / "net" / "sockstat6"
    try:
        # Not the table of the connections themselves: the kernel takes milliseconds to walk it.
        told = four.read_text().splitlines() + (six.read_text().splitlines() if six.exists() else [])
    except OSError:
        return False
    counts = {name: rest.split() for name, _, rest in (line.partition(":") for line in told)}
    over = dict(zip(counts.get("TCP", [])[::2], counts.get("TCP", [])[1::2], strict=False))
    return over.get("inuse") == over.get("tw") == "0" and counts.get("TCP6", ["inuse", "0"])[:2] == ["inuse", "0"]
