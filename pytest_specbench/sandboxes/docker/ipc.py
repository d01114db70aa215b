"""Looks at the shared memory, message queues and semaphores that a container's processes left, from the host."""

from __future__ import annotations

import os
import threading
from pathlib import Path

TABLES = ("msg", "sem", "shm")
FOLDERS = ("dev/shm", "dev/mqueue")


def is_empty(pid: int, *, proc: Path = Path("/proc")) -> bool | None:
    """Whether nothing of the kind is left in the namespaces of a process on this machine, be it as empty as it may.

    None where this process may not look: entering a namespace takes root.
    """
    found: list[bool] = []

    def look() -> None:
        try:
            found.append(_has_no_files(proc / str(pid) / "root") and _has_no_objects(pid, proc))
        except OSError:
            return  # whoever may not look is told nothing

    # A namespace is entered by one thread, for good: so that is one of its own.
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0] if found else None


def _has_no_files(root: Path) -> bool:
    return not any(any((root / folder).iterdir()) for folder in FOLDERS)


def _has_no_objects(pid: int, proc: Path) -> bool:
    """System V's objects, which the kernel lists below a header, of the namespace of whoever reads."""
    with (proc / str(pid) / "ns" / "ipc").open("rb") as namespace:
        os.setns(namespace.fileno(), os.CLONE_NEWIPC)
    return all(len((proc / "sysvipc" / table).read_text().splitlines()) == 1 for table in TABLES)
