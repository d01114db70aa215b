"""What surrounds the agent: it takes none of the agent's time, loses nothing, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scenario_files import Project
from test_trial_agents import HEAD

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.records import KeptSandbox
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.status import Cause
from pytest_specbench.trial.record import Seen
from pytest_specbench.trial.set_up import set_up
from pytest_specbench.trial.teardown import let_go
from pytest_specbench.trial.verification_phase import redact_kept

KEPT = KeptSandbox(name="kept", run_id="r", scenario_id="s", enter="enter", remove="remove")


def test_the_agents_time_begins_when_the_sandbox_measures(project: Project) -> None:
    """Measuring may take as long as the set-up to begin."""
    body = """
        from slow_sandbox import SlowBackend
        assert task.deadline >= SlowBackend.began[0] + 60, "it began before"
        shell.run("echo made > result.txt")
        return AgentOutcome()
"""
    project.module(
        "slow_sandbox",
        """
import time
from pytest_specbench.sandboxes.local.backend import LocalBackend

class SlowBackend(LocalBackend):
    began = []

    def start(self, spec):
        sandbox = super().start(spec)
        measure = sandbox.start_measuring
        sandbox.start_measuring = lambda: (measure(), self.began.append(time.monotonic()))
        return sandbox
""",
    )
    project.module("actors", HEAD + body)
    project.scenario(agent={"name": "actors:Actor"}, deadlines={"agent_sec": 60})

    ran = project.run("--specbench-sandbox=slow_sandbox:SlowBackend")

    assert ran.verdict() == ("provisional", "verified", 0), ran.scenario()["notes"]


def plan_of(backend: object = None, *, keep: bool = False, teardown_sec: float = 10.0) -> Any:
    """As much of a plan as it takes to set up and to let go."""
    scenario = SimpleNamespace(
        deadlines=SimpleNamespace(teardown_sec=teardown_sec),
        runner=SimpleNamespace(network=SimpleNamespace(setup="none")),
    )
    loaded = SimpleNamespace(scenario=scenario)
    return SimpleNamespace(backend=backend, spec=None, fixtures=(), loaded=loaded, keep=keep)


def test_a_sandbox_that_was_being_started_at_an_interruption_is_let_go_of() -> None:
    class Backend:
        def start(self, spec: object) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(0.3)  # until the main thread has noticed
            return SimpleNamespace(set_network=lambda network: None, close=lambda: None)

    gone: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        set_up(plan_of(Backend()), 10.0, gone.append)
    assert len(gone) == 1


class Sandbox:
    """One whose keep ends as it is told to, once it is being closed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.closing = threading.Event()
        self._error = error

    def keep(self) -> KeptSandbox:
        self.closing.wait(10)
        if self._error is not None:
            raise self._error
        return KEPT

    def close(self) -> None:
        self.closing.set()


def lose() -> Any:
    raise RuntimeError("lost")


class TestKeeping:
    def test_one_that_ends_late_is_listed(self) -> None:
        seen = Seen(started=datetime.now(UTC))
        let_go(plan_of(keep=True, teardown_sec=0.1), Sandbox(), seen)  # type: ignore[arg-type]
        assert seen.kept == KEPT
        assert "kept, though late" in seen.notes[0]

    def test_one_that_fails_late_is_not(self) -> None:
        seen = Seen(started=datetime.now(UTC))
        let_go(plan_of(keep=True, teardown_sec=0.1), Sandbox(RuntimeError("lost")), seen)  # type: ignore[arg-type]
        assert seen.kept is None
        assert "was not kept, and is removed" in seen.notes[0]

    def test_whatever_it_raises_the_sandbox_is_closed(self) -> None:
        seen, sandbox = Seen(started=datetime.now(UTC)), Sandbox()
        sandbox.keep = lose  # type: ignore[method-assign]
        let_go(plan_of(keep=True), sandbox, seen)  # type: ignore[arg-type]
        assert sandbox.closing.is_set()
        assert "RuntimeError: lost" in seen.notes[0]

    def test_a_close_that_raises_anything_is_noted(self) -> None:
        seen, sandbox = Seen(started=datetime.now(UTC)), Sandbox()
        sandbox.close = lose  # type: ignore[method-assign]
        let_go(plan_of(), sandbox, seen)  # type: ignore[arg-type]
        assert seen.notes == ["teardown: RuntimeError: lost"]


class TestWhatAVerifierKept:
    def test_nothing_of_it_stays_where_looking_for_secrets_takes_too_long(self, tmp_path: Path) -> None:
        class Slow(Redactor):
            ended = threading.Event()

            def bytes(self, data: bytes) -> bytes:
                self.ended.wait(10)
                return data

        kept = tmp_path / "verifier"
        (kept / "files").mkdir(parents=True)
        (kept / "files" / "secret.txt").write_text("secret-value")

        failure = redact_kept(kept, Slow({}), 0.1)
        Slow.ended.set()

        assert failure is not None
        assert failure.cause is Cause.VERIFIER_TIMEOUT
        assert list(tmp_path.iterdir()) == []

    def test_it_stays_without_the_secrets(self, tmp_path: Path) -> None:
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept" / "a.txt").write_text("secret-value")
        assert redact_kept(tmp_path / "kept", Redactor({"S": "secret-value"}), 60) is None
        assert (tmp_path / "kept" / "a.txt").read_text() == "[redacted:S]"


class TestInterruptedWithAFullDisk:
    def test_a_trial_stays_interrupted(self) -> None:
        seen = Seen(started=datetime.now(UTC), failure=BlockedError("the run was interrupted", cause=Cause.INTERRUPTED))
        seen.host_failed(OSError(errno.ENOSPC, "No space left on device"))
        assert seen.failure is not None
        assert getattr(seen.failure, "cause", None) is Cause.INTERRUPTED

    @pytest.mark.parametrize("full", ["trial.recipe.write_trial", "gate.recipe.write_record"])
    def test_the_run_is_interrupted(self, project: Project, full: str) -> None:
        project.file(
            "conftest.py",
            f"""import errno
from unittest.mock import patch

patch("pytest_specbench.{full}", side_effect=OSError(errno.ENOSPC, "No space left on device")).start()
""",
        )
        project.module("actors", HEAD.replace("    def prepare(self, task):\n        pass", PREPARE) + "        pass\n")
        project.scenario("a-cut", agent={"name": "actors:Actor"})
        project.scenario("b-never")

        ran = project.process()

        assert (ran.code, ran.report["interrupted"]) == (2, True), ran.out
        assert "b-never" not in [row["scenario_id"] for row in ran.report["scenarios"]]


PREPARE = """    def prepare(self, task):
        raise KeyboardInterrupt"""
