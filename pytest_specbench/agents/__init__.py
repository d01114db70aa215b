"""Who acts. A new agent is one module here, or in another package, and one registration."""

from __future__ import annotations

from pytest_specbench.core.registry import Registry

AGENTS = Registry(
    kind="agent",
    group="pytest_specbench.agents",
    builtin={
        "spec-kit-orchestrator": "pytest_specbench.agents.orchestrator.adapter:OrchestratorAgent",
        "oracle": "pytest_specbench.agents.oracle:OracleAgent",
        "command": "pytest_specbench.agents.command:CommandAgent",
        "nop": "pytest_specbench.agents.nop:NopAgent",
    },
)
"""Names -> `Agent` classes, called with the agent's options as keyword arguments."""
