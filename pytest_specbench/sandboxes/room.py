"""Whether the disk of a sandbox still takes anything: where it does not, what fails proves nothing about the agent."""

from __future__ import annotations

import re

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.tar import TarFile, make_tar
from pytest_specbench.sandboxes.base import Sandbox, SpoiledError

NAME, SIZE = ".specbench-room", 65_536
FULL = re.compile("no space left|quota exceeded", re.IGNORECASE)


def refuse_full_disk(sandbox: Sandbox) -> None:
    """Raise InfrastructureError when a small file finds no room in the sandbox. Asked for once something has failed.

    A sandbox has no disk of its own and no limit of it: who filled it up cannot be told. Anything else that is in the
    way of the file says nothing.
    """
    try:
        sandbox.put(make_tar([TarFile(NAME, bytes(SIZE))]), ".")
    except SpoiledError:
        return
    except InfrastructureError as error:
        if FULL.search(error.message):
            raise InfrastructureError(
                f"the disk that the sandbox lies on is full: {error.message}",
                hint="make room on the engine's disk (docker system df), or let the scenario write less",
            ) from error
