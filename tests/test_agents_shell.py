"""The shell that agents get, over a real sandbox."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from agents_support import MemoryJournal

from pytest_specbench.agents import shell as agents_shell
from pytest_specbench.agents.shell import PolicedShell
from pytest_specbench.core.errors import AgentError, InfrastructureError
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.base import SandboxSpec
from pytest_specbench.sandboxes.local.backend import LocalBackend


@pytest.fixture
def shell() -> Iterator[PolicedShell]:
    sandbox = LocalBackend().start(SandboxSpec("any", 1.0, 64, 32, "/work", None, ("none",)))
    deadline = time.monotonic() + 60
    yield PolicedShell(sandbox, MemoryJournal(), policy=None, deadline=deadline, command_sec=None, environment={})
    sandbox.close()


def test_a_file_that_is_too_large_to_read_is_the_agents_failure(
    shell: PolicedShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents_shell, "MAX_READ_BYTES", 10)
    shell.run("mkdir specs; echo fine > specs/small; echo much too long > specs/spec.md")
    assert shell.read("specs/small") == {"specs/small": "fine\n"}
    with pytest.raises(AgentError, match="more than 10 bytes") as caught:
        shell.read("specs/*")
    assert caught.value.cause is Cause.ARTIFACT_INVALID


def test_a_sandbox_that_fails_is_remembered_and_what_was_done_in_it_is_not(shell: PolicedShell) -> None:
    shell.run("mkfifo pipe; chmod 0 pipe; true")
    shell.read("pipe")
    assert shell.failure is None
    shell._sandbox.close()
    with pytest.raises(InfrastructureError) as caught:
        shell.run("true")
    with pytest.raises(InfrastructureError):
        shell.read("**")
    assert shell.failure is caught.value


def test_a_workdir_that_is_gone_is_the_agents_failure(shell: PolicedShell) -> None:
    shell.run('rmdir "$PWD"')
    assert shell.run("true").exit_code == 126
    assert shell.read("**") == {}
