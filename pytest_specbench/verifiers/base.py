"""The contract between a trial and its verifiers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pytest_specbench.core.records import CheckResult
from pytest_specbench.sandboxes.base import Sandbox
from pytest_specbench.scenarios.model import Scenario


@dataclass(frozen=True)
class VerificationContext:
    """What a verifier may use. The agent is dead, and nothing of the verifier's was there while it lived."""

    scenario: Scenario
    scenario_folder: Path
    """Folder of the scenario file: where what the verifier brings along lies."""
    sandbox: Sandbox
    folder: Path
    """`verifier/` of the trial's artifacts; what is kept goes here."""
    write: Callable[[bytes], None]
    """Appends to `post-test.txt`."""
    remaining: Callable[[], float]
    """Seconds left of the verification deadline; raises InfrastructureError(VERIFIER_TIMEOUT) when there are none."""


class Verifier(Protocol):
    """Checks one aspect of what the agent left. Raises InfrastructureError(VERIFIER_CRASHED) when it cannot tell."""

    def applies(self, scenario: Scenario) -> bool:
        """Whether the scenario asks for it."""
        ...

    def verify(self, context: VerificationContext) -> list[CheckResult]:
        """At least one result; a check that could not be done is no pass."""
        ...
