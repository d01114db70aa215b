"""Who is told of a regression. A new channel is one module here, or in another package, and one registration."""

from __future__ import annotations

from pytest_specbench.core.registry import Registry

CHANNELS = Registry(
    kind="incident channel",
    group="pytest_specbench.incidents",
    builtin={
        "folder": "pytest_specbench.incidents.folder:FolderChannel",
        "github": "pytest_specbench.incidents.github:GitHubChannel",
        "gitlab": "pytest_specbench.incidents.gitlab:GitLabChannel",
        "webhook": "pytest_specbench.incidents.webhook:WebhookChannel",
    },
)
"""Names -> `Channel` classes, called with what stands behind the name's colon, and a `Context`."""
