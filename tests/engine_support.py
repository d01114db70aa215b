"""What the tests of sandboxes share: the runner image, found or built, and archives to put into a sandbox."""

from __future__ import annotations

import os

import pytest

from pytest_specbench.core.settings import RUNNER_IMAGE
from pytest_specbench.core.tar import TarFile, make_tar
from pytest_specbench.sandboxes.choice import choose_sandbox


def require_runner_image() -> str:
    """The runner image's name, when it is there or can be built. Otherwise: skip, or fail where
    SPECBENCH_REQUIRE_ENGINE=1.
    """
    choice = choose_sandbox("auto")
    if choice.name != "docker":
        (pytest.fail if os.environ.get("SPECBENCH_REQUIRE_ENGINE") == "1" else pytest.skip)(choice.reason)
    return RUNNER_IMAGE


def tar(files: dict[str, bytes], *, executable: bool = False) -> bytes:
    """An archive of files by path."""
    return make_tar(TarFile(path, content, executable) for path, content in files.items())
