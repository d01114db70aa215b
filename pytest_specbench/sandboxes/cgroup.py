"""Reads a container's control group from the host's file system: version 1, version 2 and the hybrid of both.

Everything here is a function of a root path, normally `/sys/fs/cgroup`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_specbench.sandboxes.sampling import Reading

ROOT = Path("/sys/fs/cgroup")
_PEAK_V1 = "memory.max_usage_in_bytes"


@dataclass(frozen=True)
class Cgroup:
    """Where one control group's files lie. A controller that is not there is None."""

    memory: Path | None
    memory_version: int
    cpu: Path | None
    cpu_version: int


def locate(root: Path, membership: str) -> Cgroup | None:
    """Find the control group that `membership`, the text of `/proc/PID/cgroup`, names below `root`.

    None when neither memory nor CPU can be read there: another machine, or another control group namespace.
    """
    by_controller: dict[str, tuple[str, str]] = {}
    unified: str | None = None
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            unified = path
        for controller in controllers.split(","):
            by_controller[controller] = (controllers, path)
    memory, memory_version = _folder(root, "memory", by_controller, unified)
    cpu, cpu_version = _folder(root, "cpuacct", by_controller, unified)
    if memory is None and cpu is None:
        return None
    return Cgroup(memory, memory_version, cpu, cpu_version)


def of_process(pid: int, container: str, *, root: Path, proc: Path) -> Cgroup | None:
    """The control group of a container's process; None when process ids here are not the engine's, or it is not
    mounted.
    """
    try:
        membership = (proc / str(pid) / "cgroup").read_text()
    except OSError:
        return None
    return locate(root, membership) if container in membership else None


def _folder(
    root: Path, controller: str, by_controller: dict[str, tuple[str, str]], unified: str | None
) -> tuple[Path | None, int]:
    """The folder of a controller and its version. In a hybrid a controller is in version 1 or in 2, never in both."""
    if controller in by_controller:
        mount, path = by_controller[controller]
        for name in (controller, mount):
            folder = root / name / path.lstrip("/")
            if _inside(path) and folder.is_dir():
                return folder, 1
        return None, 1
    if unified is not None and _inside(unified):
        marker = "memory.stat" if controller == "memory" else "cpu.stat"
        for base in (root, root / "unified"):
            folder = base / unified.lstrip("/")
            if (folder / marker).is_file():
                return folder, 2
    return None, 2


def _inside(path: str) -> bool:
    """A path with `..` belongs to a control group namespace whose root we do not see."""
    return ".." not in path.split("/") and path not in ("", "/")


def read(group: Cgroup) -> Reading:
    """Read all counters. Raises OSError when the group is gone."""
    return Reading(
        cpu_ns=_cpu_ns(group),
        memory=_working_set(group),
        kernel_peak=_kernel_peak(group),
        oom_kills=_oom_kills(group),
    )


def reset_peak(group: Cgroup) -> bool:
    """Let the kernel's peak begin anew. False where it cannot: without the right, and in version 2, whose peak can only
    be reset for one open file, and only since Linux 6.12.
    """
    if group.memory is None or group.memory_version != 1:
        return False
    try:
        (group.memory / _PEAK_V1).write_text("0")
    except OSError:
        return False
    return True


def shared_memory(group: Cgroup) -> int | None:
    """Bytes of shared memory and of files in memory; None where that cannot be told."""
    if group.memory is None:
        return None
    try:
        table = _table(group.memory / "memory.stat")
    except OSError:
        return None
    return table.get("total_shmem" if group.memory_version == 1 else "shmem")


def _cpu_ns(group: Cgroup) -> int | None:
    if group.cpu is None:
        return None
    if group.cpu_version == 1:
        return int((group.cpu / "cpuacct.usage").read_text())
    microseconds = _table(group.cpu / "cpu.stat").get("usage_usec")
    return None if microseconds is None else microseconds * 1000


def _working_set(group: Cgroup) -> int | None:
    """Anonymous and shared memory in bytes.

    Version 1 calls anonymous memory `rss`; `total_` takes child groups in, as version 2 always does. Kernels before
    4.13 do not list `shmem` in version 1: then the sum is unknown rather than too small.
    """
    if group.memory is None:
        return None
    table = _table(group.memory / "memory.stat")
    keys = ("total_rss", "total_shmem") if group.memory_version == 1 else ("anon", "shmem")
    anonymous, shared = (table.get(key) for key in keys)
    return None if anonymous is None or shared is None else anonymous + shared


def _kernel_peak(group: Cgroup) -> int | None:
    """The kernel's peak, page cache included, since the group was made or `reset_peak`; kernels before 5.19 have none
    in version 2.
    """
    if group.memory is None:
        return None
    file = group.memory / (_PEAK_V1 if group.memory_version == 1 else "memory.peak")
    return int(file.read_text()) if file.is_file() else None


def _oom_kills(group: Cgroup) -> int | None:
    if group.memory is None:
        return None
    return _table(group.memory / ("memory.oom_control" if group.memory_version == 1 else "memory.events")).get(
        "oom_kill"
    )


def _table(file: Path) -> dict[str, int]:
    """Lines of `key number`."""
    table = {}
    for line in file.read_text().splitlines():
        key, _, value = line.partition(" ")
        if value.isdigit():
            table[key] = int(value)
    return table
