"""One exception per concept; each says what was given, where, what was expected and what to do next."""

from __future__ import annotations

from pytest_specbench.core.status import Cause
from pytest_specbench.core.text import lines_of, one_line


class SpecbenchError(Exception):
    """Base of every error that a user of the tool may see; it is shown as text, never as a traceback.

    `where` is `file:line: key` or another place that can be opened, `expected` the valid form (with the nearest valid
    name), `hint` the next command to run. Any of them may quote a file of somebody else's: as text they are visible
    characters only, and short.
    """

    def __init__(
        self, message: str, *, where: str | None = None, expected: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        message = lines_of(self.message)
        lines = [f"{one_line(self.where)}: {message}" if self.where else message]
        if self.expected:
            lines.append(f"  expected: {one_line(self.expected)}")
        if self.hint:
            lines.append(f"  next: {one_line(self.hint)}")
        return "\n".join(lines)


class UsageError(SpecbenchError):
    """An option, an ini value or an environment variable is wrong."""


class ScenarioError(SpecbenchError):
    """A scenario file, or something that it names, is invalid. `problems` holds every error that was found."""

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
        problems: tuple[ScenarioError, ...] = (),
    ) -> None:
        super().__init__(message, where=where, expected=expected, hint=hint)
        self.problems = problems

    def __str__(self) -> str:
        if self.problems:
            return "\n".join(str(problem) for problem in self.problems)
        return super().__str__()


class DatasetError(SpecbenchError):
    """A dataset reference does not resolve, or the registry that should resolve it is unreadable."""


class BlockedError(SpecbenchError):
    """Nothing may be judged: the run is `blocked` with `cause`. Never counted against the agent."""

    def __init__(
        self,
        message: str,
        *,
        cause: Cause,
        where: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, where=where, expected=expected, hint=hint)
        self.cause = cause


class InfrastructureError(BlockedError):
    """The sandbox, the engine, the provider or the verifier failed, not the agent. One such trial is repeated once."""

    def __init__(self, message: str, *, cause: Cause = Cause.SANDBOX_FAILED, hint: str | None = None) -> None:
        super().__init__(message, cause=cause, hint=hint)


class AgentError(SpecbenchError):
    """The agent failed by its own doing: the trial is a functional failure with `cause`."""

    def __init__(self, message: str, *, cause: Cause = Cause.AGENT_CRASHED) -> None:
        super().__init__(message)
        self.cause = cause


class AgentStoppedError(AgentError):
    """Raised inside an agent whose phase is over (deadline or limit): whatever it tries from now on has no effect."""

    def __init__(self, message: str, *, cause: Cause = Cause.AGENT_TIMEOUT) -> None:
        super().__init__(message, cause=cause)


class ApprovalRefusedError(SpecbenchError):
    """A maintainer's wish cannot be granted. `reasons` holds every reason, not only the first."""

    def __init__(self, message: str, reasons: tuple[str, ...], *, hint: str | None = None) -> None:
        super().__init__("\n".join([message, *(f"  - {reason}" for reason in reasons)]), hint=hint)
        self.reasons = reasons


class RunNotFoundError(SpecbenchError):
    """No recorded run is meant, or what is recorded of it is incomplete or corrupt."""
