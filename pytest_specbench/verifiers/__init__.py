"""Who checks, after the agent is dead. A new verifier or check is one module here or elsewhere and one registration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.registry import Registry
from pytest_specbench.core.status import Cause

if TYPE_CHECKING:
    from pytest_specbench.scenarios.model import Scenario
    from pytest_specbench.verifiers.base import Verifier

CHECKS = Registry(
    kind="artifact check",
    group="pytest_specbench.checks",
    builtin={
        "spec-kit-spec": "pytest_specbench.verifiers.spec_kit:check_spec",
        "spec-kit-plan": "pytest_specbench.verifiers.spec_kit:check_plan",
        "spec-kit-tasks": "pytest_specbench.verifiers.spec_kit:check_tasks",
        "spec-kit-tasks-done": "pytest_specbench.verifiers.spec_kit:check_tasks_done",
        "json": "pytest_specbench.verifiers.documents:check_json",
        "yaml": "pytest_specbench.verifiers.documents:check_yaml",
    },
)
"""Names -> `Callable[[str], list[str]]`: the text of a file -> its problems, one sentence each."""

VERIFIERS = Registry(
    kind="verifier",
    group="pytest_specbench.verifiers",
    builtin={
        "artifacts": "pytest_specbench.verifiers.artifacts:ArtifactVerifier",
        "command": "pytest_specbench.verifiers.command:CommandVerifier",
    },
)
"""Names -> `Verifier` classes, called without arguments."""


def applicable(scenario: Scenario) -> list[Verifier]:
    """Every verifier that the scenario asks for, in the order of their names.

    Raises InfrastructureError(VERIFIER_CRASHED) when there is none: what nobody checks must not pass.
    """
    verifiers: list[Verifier] = [VERIFIERS.load(name)() for name in VERIFIERS.names()]
    chosen = [verifier for verifier in verifiers if verifier.applies(scenario)]
    if not chosen:
        raise InfrastructureError(
            f"no verifier applies to the scenario {scenario.scenario_id!r}",
            cause=Cause.VERIFIER_CRASHED,
            hint="give it success_artifacts or a verification command",
        )
    return chosen
