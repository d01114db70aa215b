"""Whose sandbox it is, so that what a dead run left behind is found, and a live one's is never touched."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

PREFIX = "org.specbench.owner."
CLOCK_SLACK_SEC = 2.0
"""Two readings of the start of one process may differ by a clock tick, and by the boot's rounding to a second."""


def owner_labels() -> dict[str, str]:
    """What identifies this process: the machine, its boot, the process id and when the process started."""
    return {
        f"{PREFIX}machine": _machine(),
        f"{PREFIX}boot": _boot(),
        f"{PREFIX}pid": str(os.getpid()),
        f"{PREFIX}begun": repr(started(psutil.Process())),
    }


def deadline_label(lifetime_sec: float | None) -> dict[str, str]:
    """When a sandbox that starts now should be gone, in UTC; nothing where nobody knows. For people who look at the
    engine: no sandbox of a living owner is ever removed because of it.
    """
    if lifetime_sec is None:
        return {}
    return {f"{PREFIX}deadline": (datetime.now(UTC) + timedelta(seconds=lifetime_sec)).isoformat(timespec="seconds")}


def is_abandoned(labels: Mapping[str, str]) -> bool:
    """Whether the owner was a process of this machine that is gone.

    False where that is not certain: labels are missing or unreadable, or they name another machine, which may share an
    engine with this one.
    """
    if labels.get(f"{PREFIX}machine") != _machine():
        return False
    if labels.get(f"{PREFIX}boot") != _boot():
        return bool(labels.get(f"{PREFIX}boot"))
    try:
        pid, labelled = int(labels[f"{PREFIX}pid"]), float(labels[f"{PREFIX}begun"])
    except (KeyError, ValueError):
        return False
    try:
        process = psutil.Process(pid)
        # A zombie is dead: nobody has asked for its exit status yet.
        return process.status() == psutil.STATUS_ZOMBIE or abs(started(process) - labelled) > CLOCK_SLACK_SEC
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OverflowError):
        return False


def started(process: psutil.Process) -> float:
    """When a process started, in seconds of a clock that nobody sets: since the boot where the system tells that.

    On Linux psutil adds the boot as the clock of now would have it: whoever sets the clock moves every process.
    """
    if not psutil.LINUX:
        return process.create_time()
    boot = psutil.boot_time()  # first, for some versions of psutil keep it and add what they kept
    return process.create_time() - boot


def seconds_now() -> float:
    """Now, by the clock of `started`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.time()


def is_of_this_machine(labels: Mapping[str, str]) -> bool:
    """Whether the owner was a process of this machine, dead or alive, of this boot or an earlier one."""
    return labels.get(f"{PREFIX}machine") == _machine()


def _machine() -> str:
    """What tells this machine, or this container, from another one on the same engine."""
    try:
        name = Path("/etc/machine-id").read_text("ascii").strip()
    except (OSError, ValueError):
        name = ""
    # Containers made from one image share its machine-id, and have host names of their own.
    return f"{name}/{platform.node()}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return str(round(psutil.boot_time()))
