"""What every trial of a benchmark run has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_specbench.agents.base import Agent, AgentTask
from pytest_specbench.agents.shell import CommandPolicy
from pytest_specbench.core.records import AgentRecord, ImageIdentity
from pytest_specbench.core.redact import Redactor
from pytest_specbench.sandboxes.base import SandboxBackend, SandboxSpec
from pytest_specbench.scenarios.fixtures import FixtureContent
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.trial.record import Invocation

type Progress = Callable[[str, int | None], None]
"""Called with the phase that begins, or with the phase and the number of steps so far."""


@dataclass(frozen=True)
class TrialPlan:
    """The plan of the trials. Nothing in it changes while they run."""

    loaded: LoadedScenario
    make_agent: Callable[[], Agent]
    """A fresh agent, so that no trial sees what another one left in it."""
    agent: AgentRecord
    task: AgentTask
    """The agent's task; its deadline is set when the agent phase begins."""
    backend: SandboxBackend
    spec: SandboxSpec
    image: ImageIdentity | None
    """The image that the fingerprint is made of; each sandbox must be made of that."""
    fixtures: tuple[FixtureContent, ...]
    policy: CommandPolicy | None
    """What polices the agent's commands; None where they cannot be policed one by one, or need not be."""
    secrets: Mapping[str, str]
    """Host variables that the agent phase gets."""
    redactor: Redactor
    invocation: Invocation
    run_folder: Path
    progress: Progress
    keep: bool = False
    """Leave the sandbox for a look, instead of removing it."""
