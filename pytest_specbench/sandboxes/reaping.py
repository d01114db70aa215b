"""Removes what runs that died left behind: at the start of every run, and by `specbench gc`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pytest_specbench.sandboxes import SANDBOXES


@runtime_checkable
class Reaper(Protocol):
    """A backend whose sandboxes outlive the process that made them when it is killed."""

    def reap(self) -> tuple[str, ...]:
        """Remove every sandbox whose owner was a process of this machine that is gone; return what was removed.

        Never touches a live owner's, another machine's, or one whose owner is not certain. Never raises: what cannot be
        removed now stays for the next time.
        """
        ...

    def abandoned(self) -> tuple[str, ...]:
        """What `reap` would remove now."""
        ...


def abandoned(name: str) -> tuple[str, ...]:
    """What reaping the backend `name` would remove. Raises UsageError for an unknown name."""
    backend = SANDBOXES.load(name)()
    return backend.abandoned() if isinstance(backend, Reaper) else ()


def reap(name: str) -> tuple[str, ...]:
    """Reap the sandboxes of the backend `name`, where it can. Raises UsageError for an unknown name."""
    backend = SANDBOXES.load(name)()
    return backend.reap() if isinstance(backend, Reaper) else ()
