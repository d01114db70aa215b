"""The agent that does nothing: it shows what a scenario costs without one, and that its verifier can say no."""

from __future__ import annotations

from collections.abc import Mapping

import pytest_specbench
from pytest_specbench.agents.base import AgentOutcome, AgentTask, Shell
from pytest_specbench.agents.plain import no_options, usage_without_model
from pytest_specbench.core.records import Scalar
from pytest_specbench.recording.journal import Journal


class NopAgent:
    """Ends at once, content. Takes no options."""

    name = "nop"
    version = pytest_specbench.__version__
    takes_model = False
    acts_freely = False
    trusted = True
    trusted_in_replay = True

    def __init__(self, **options: Scalar) -> None:
        no_options(self.name, options)

    def prepare(self, task: AgentTask) -> None:
        """Nothing is slow."""

    def run(self, task: AgentTask, shell: Shell, journal: Journal) -> AgentOutcome:  # noqa: ARG002 - the contract's
        journal.message("user", task.instruction)
        journal.message("agent", "Nothing to do.")
        return AgentOutcome(usage=usage_without_model(0, "the nop agent asks no model"))

    def configuration(self) -> Mapping[str, Scalar]:
        return {}
