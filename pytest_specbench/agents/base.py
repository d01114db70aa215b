"""The contract between a trial and the agent that acts in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pytest_specbench.core.metrics import Measurement
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import Journal
from pytest_specbench.scenarios.model import Limits, ModelDefaults

if TYPE_CHECKING:
    from pytest_specbench.agents.models.spend import SpendLedger


@dataclass(frozen=True)
class CommandResult:
    """How a command ended, as the agent sees it. A denied command has exit code 126 and says why."""

    exit_code: int | None
    """Null when it was killed at its time limit."""
    output: str
    """Standard output and error; undecodable bytes are replaced, and a cut is marked in the text."""
    denied: bool = False


class Shell(Protocol):
    """The agent's only way to act. Everything that passes is policed by the approval mode, recorded and timed.

    Raises AgentStoppedError once the phase is over, InfrastructureError when the sandbox fails.
    """

    workdir: str

    def run(self, command: str, *, timeout_sec: float | None = None) -> CommandResult:
        """Run a shell command line in the workdir; `timeout_sec` defaults to the scenario's `limits.command_sec`."""
        ...

    def read(self, pattern: str) -> dict[str, str]:
        """Text of the files that match a glob relative to the workdir, keyed by path. Not recorded as a step.

        Raises AgentError(ARTIFACT_INVALID) when they are too large, or made so that they cannot be read.
        """
        ...


@dataclass(frozen=True)
class AgentTask:
    """What the agent is asked to do, and within which limits."""

    scenario_id: str
    instruction: str
    command_path: str
    limits: Limits
    approval_mode: str
    deadline: float
    """`time.monotonic()` at which the phase ends."""
    model: str | None = None
    """LiteLLM name or `replay:` and an absolute path."""
    model_defaults: ModelDefaults | None = None
    """Endpoint, parameters, prices, retries; null: the defaults."""
    record_cassette: str | None = None
    """Absolute path of the cassette to write."""
    solution: str | None = None
    """Text of the scenario's solution script; null where there is none."""
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    """Names of the host variables whose values must not be written down, besides those whose names tell."""

    def at(self, deadline: float) -> AgentTask:
        """The same task with the deadline of a phase that begins now."""
        return replace(self, deadline=deadline)


USAGE = frozenset({"steps", "input_tokens", "output_tokens", "cached_tokens", "cost_usd", "model_wait_ms"})
"""What an agent may say about its own usage. Everything else is measured, whatever it says."""


@dataclass(frozen=True)
class AgentOutcome:
    """How the agent ended, by its own account. What it claims about the task is not believed: the verifier says."""

    cause: Cause = Cause.VERIFIED
    """`verified` when it ended content; else why not."""
    reason: str = ""
    """A sentence, when the cause is not `verified`."""
    exit_status: int = 0
    """0 content, 1 failed, or the exit status of the agent's command."""
    usage: Mapping[str, Measurement] = field(default_factory=dict)
    """The names of `USAGE`, as far as known."""
    notes: tuple[str, ...] = ()


class Agent(Protocol):
    """Acts in a sandbox. Its constructor takes its options as keyword arguments and raises UsageError for others."""

    name: str
    version: str
    acts_freely: bool
    """False promises that each command goes through `Shell.run` by itself, where it is policed. Anything else,
    and nothing said, counts as true: it then needs the approval mode `full-access`, and deny rules refuse it.
    """
    takes_model: bool
    """False promises that it asks no model: then a model that is asked for is an error. Nothing said counts as true."""
    trusted: bool
    """True when what it does is known beforehand, like a solution script: it may run unisolated."""
    trusted_in_replay: bool
    """The same where its model is a replay: true when all that it does comes from the model's replies. An agent that
    does not have it is not trusted.
    """

    def prepare(self, task: AgentTask) -> None:
        """Import and open what is slow, before the clock starts. Raises BlockedError when something is missing."""
        ...

    def run(self, task: AgentTask, shell: Shell, journal: Journal) -> AgentOutcome:
        """Do the task. Raises AgentError for a failure of its own, InfrastructureError for the provider's."""
        ...

    def configuration(self) -> Mapping[str, Scalar]:
        """What shapes its behaviour, for the record; no secrets."""
        ...


@runtime_checkable
class Interruptible(Protocol):
    """An agent that can be asked for what it has used, and told to give up, while it runs in another thread."""

    def usage(self) -> Mapping[str, Measurement]:
        """What was used so far, in the form of `AgentOutcome.usage`."""
        ...

    def cancel(self) -> None:
        """Give up what is under way, such as a request to a model."""
        ...


@runtime_checkable
class Chargeable(Protocol):
    """An agent whose model's cost can be charged to the session."""

    def charge_to(self, ledger: SpendLedger) -> None:
        """Charge every reply to `ledger`, and stop at its cap. Called before `prepare`."""
        ...
