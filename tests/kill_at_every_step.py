"""Approve in a copy of a baseline folder, once for every call that changes a file, and be killed at that call.

    python kill_at_every_step.py BASELINES FOLDER

Leaves FOLDER/0001, FOLDER/0002, ... as each killed process did, the last one as a process that was not killed did, and
prints the number of the last.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store_support import approve, record_of

CALLS = ("fsync", "link", "mkdir", "replace", "unlink", "rmdir", "write")


def main(baselines: Path, folder: Path) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        root = folder / f"{number:04d}"
        shutil.copytree(baselines, root)
        child = os.fork()
        if child == 0:
            die_at_call(number)
            approve(root, record_of(2), signer=lambda data: b"a signature\n")
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        killed = os.WIFSIGNALED(status)
        if not killed and status:
            raise SystemExit(f"the approval failed at call {number}")
    print(number)


def die_at_call(number: int) -> None:
    """Have this process kill itself instead of making the call of that number."""
    left = number

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **more)

        return call

    for name in CALLS:
        setattr(os, name, counting(getattr(os, name)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
