"""Whose sandbox it is, so that what a dead run left behind is found, and a live one's is never touched."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import psutil

PREFIX = "org.specbench.owner."
CLOCK_SLACK_SEC = 2.0
"""Two readings of the start of one process may differ by a clock tick, and after a correction of the clock by more."""


def owner_labels() -> dict[str, str]:
    """What identifies this process: the machine, its boot, the process id and when the process started."""
    return {
        f"{PREFIX}machine": _machine(),
        f"{PREFIX}boot": _boot(),
        f"{PREFIX}pid": str(os.getpid()),
        f"{PREFIX}started": repr(psutil.Process().create_time()),
    }


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
        pid, started = int(labels[f"{PREFIX}pid"]), float(labels[f"{PREFIX}started"])
    except (KeyError, ValueError):
        return False
    try:
        return abs(psutil.Process(pid).create_time() - started) > CLOCK_SLACK_SEC
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OverflowError):
        return False


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
