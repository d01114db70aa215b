"""Who checks, after the agent is dead. A new verifier or check is one module here or elsewhere, and one registration."""

from __future__ import annotations

from pytest_specbench.core.registry import Registry

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
