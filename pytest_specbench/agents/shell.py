"""The shell that agents get: policed by the approval mode, bounded by the deadline, recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pytest_specbench.agents.base import CommandResult
from pytest_specbench.core.deadline import remaining
from pytest_specbench.core.errors import AgentError, AgentStoppedError, InfrastructureError
from pytest_specbench.core.policy.modes import ApprovalMode, Decision, decide
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import Journal
from pytest_specbench.sandboxes.base import Sandbox, SpoiledError

EXIT_DENIED = 126
MAX_READ_BYTES = 20_000_000


@dataclass(frozen=True)
class CommandPolicy:
    """What an agent may run: the approval mode that was granted, and the scenario's allow and deny globs."""

    mode: ApprovalMode
    allow: tuple[str, ...]
    deny: tuple[str, ...]

    def decide(self, command: str, workdir: str) -> Decision:
        """Whether a command line may run in `workdir`."""
        return decide(command, mode=self.mode, allow=self.allow, deny=self.deny, workdir=workdir)


class PolicedShell:
    """Implements `agents.base.Shell` over a sandbox. `policy` None lets everything pass: an agent that acts freely."""

    def __init__(
        self,
        sandbox: Sandbox,
        journal: Journal,
        *,
        policy: CommandPolicy | None,
        deadline: float,
        command_sec: float | None,
        environment: Mapping[str, str],
    ) -> None:
        self.workdir = sandbox.workdir
        self._sandbox = sandbox
        self._journal = journal
        self._policy = policy
        self._deadline = deadline
        self._command_sec = command_sec
        self._environment = dict(environment)
        self._stopped = threading.Event()
        self.commands = 0
        self.failure: InfrastructureError | None = None
        """The first failure of what the agent acts on, whatever the agent made of it."""

    def stop(self) -> None:
        """The phase is over: every later call raises AgentStoppedError."""
        self._stopped.set()

    def run(self, command: str, *, timeout_sec: float | None = None) -> CommandResult:
        self._check()
        self.commands += 1
        self._journal.command(command)
        if self._policy is not None:
            decision = self._policy.decide(command, self.workdir)
            if not decision.allowed:
                text = f"denied: {decision.reason}\n"
                self._journal.event("denied", command=command, reason=decision.reason, rule=decision.rule)
                self._journal.output(text.encode())
                return CommandResult(exit_code=EXIT_DENIED, output=text, denied=True)
        left = remaining(self._deadline)
        wanted = timeout_sec if timeout_sec is not None else self._command_sec
        limit = left if wanted is None else min(left, wanted)
        started = time.monotonic()
        with self._watched():
            result = self._sandbox.exec(
                ["sh", "-c", command], timeout_sec=limit, environment=self._environment, on_output=self._journal.output
            )
        self._journal.event(
            "command_ended",
            command=command,
            exit_code=result.exit_code,
            duration_ms=round(result.duration_ms, 3),
            truncated=result.truncated,
        )
        if result.timed_out and time.monotonic() >= self._deadline:
            raise AgentStoppedError("the deadline of the agent phase came while a command was running")
        text = result.output.decode("utf-8", errors="replace")
        if result.truncated:
            text += "\n[output cut here: there was more]\n"
        if result.timed_out:
            text += f"\n[killed after {time.monotonic() - started:.0f} s: the time limit of a command]\n"
        return CommandResult(exit_code=result.exit_code, output=text)

    def read(self, pattern: str) -> dict[str, str]:
        self._check()
        try:
            with self._watched():
                found = self._sandbox.fetch([pattern], max_bytes=MAX_READ_BYTES)
        except SpoiledError as error:
            message = f"what matches {pattern!r} cannot be read: {error.message}"
            raise AgentError(message, cause=Cause.ARTIFACT_INVALID) from error
        return {path: content.decode("utf-8", errors="replace") for path, content in found.items()}

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Remembers a failure of the infrastructure, which an agent may swallow."""
        try:
            yield
        except SpoiledError:
            raise  # the agent's own doing
        except InfrastructureError as error:
            self.failure = self.failure or error
            raise

    def _check(self) -> None:
        if self._stopped.is_set() or remaining(self._deadline) == 0:
            raise AgentStoppedError("the agent phase is over", cause=Cause.AGENT_TIMEOUT)
