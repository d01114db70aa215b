"""Where a trial runs. A new sandbox is one module here, or in another package, and one registration."""

from __future__ import annotations

from pytest_specbench.core.registry import Registry

SANDBOXES = Registry(
    kind="sandbox",
    group="pytest_specbench.sandboxes",
    also=("auto",),
    builtin={
        "docker": "pytest_specbench.sandboxes.docker.backend:DockerBackend",
        "local": "pytest_specbench.sandboxes.local.backend:LocalBackend",
    },
)
"""Names -> `SandboxBackend` classes, called without arguments."""
