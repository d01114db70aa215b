"""Sandboxes that are left for a look: what a backend must be able to do for `--specbench-keep` and `specbench gc`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pytest_specbench.core.records import KeptSandbox
from pytest_specbench.sandboxes import SANDBOXES

RUN_LABEL, SCENARIO_LABEL = "org.specbench.run", "org.specbench.scenario"
"""Labels of a `SandboxSpec` that say what a sandbox was made for."""


@runtime_checkable
class Keepable(Protocol):
    """A sandbox that can be left for a look instead of being removed."""

    def keep(self) -> KeptSandbox:
        """Kill everything that runs in it, switch its network off, and mark it so that no reaping takes it.

        It is marked last, so that one whose owner dies before is removed like any other. From then on it belongs to
        whoever looks: every other call fails as after `close`, and `close` does nothing. Raises InfrastructureError
        when it cannot be kept; `close` then removes it.
        """
        ...


@runtime_checkable
class KeepingBackend(Protocol):
    """A backend whose sandboxes are `Keepable`."""

    def kept(self) -> tuple[KeptSandbox, ...]:
        """What was kept by runs on this machine and is still there. Never raises: what cannot be asked has none."""
        ...

    def remove_kept(self) -> tuple[str, ...]:
        """Remove all of it; return what was removed. Never raises: what cannot be removed stays."""
        ...


def kept_by(name: str) -> tuple[KeptSandbox, ...]:
    """What the backend `name` has kept on this machine. Raises UsageError for an unknown name."""
    backend = SANDBOXES.load(name)()
    return backend.kept() if isinstance(backend, KeepingBackend) else ()


def remove_kept_by(name: str) -> tuple[str, ...]:
    """Remove what the backend `name` has kept on this machine. Raises UsageError for an unknown name."""
    backend = SANDBOXES.load(name)()
    return backend.remove_kept() if isinstance(backend, KeepingBackend) else ()
