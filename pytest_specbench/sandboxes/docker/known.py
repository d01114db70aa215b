"""What is found out in one container and holds for the next one that is made and filled in the same way."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from docker import APIClient

from pytest_specbench.sandboxes.docker.actor import Actor
from pytest_specbench.sandboxes.docker.engine import is_podman


@dataclass(frozen=True)
class Content:
    """What decides what a user can do in a container in which nobody has acted yet."""

    image: str
    """Id of the image, which is made of its content."""
    user: str
    path: str
    """Where programs are looked for."""
    variables: frozenset[str]
    """Names of the environment's variables."""
    workdir: str
    """The user's own, wherever it lies."""
    put: tuple[str, ...] = ()
    """Hashes of what was put since the start, and where, in that order."""

    def with_files(self, archive: bytes, target: str) -> Content:
        """The same after one more archive was put."""
        return replace(self, put=(*self.put, f"{hashlib.sha256(archive).hexdigest()} {target}"))


class Known:
    """What the containers on one engine have in common; each is asked for once, of the first that needs it.

    Nothing in here is an agent's doing: it is found out before one acts.
    """

    def __init__(self) -> None:
        self._podman: bool | None = None
        self._with_shell: set[str] = set()
        self._actors: dict[Content, Actor] = {}

    def podman(self, api: APIClient) -> bool:
        """Whether the engine is Podman."""
        if self._podman is None:
            self._podman = is_podman(api)
        return self._podman

    def require_shell(self, image: str, look: Callable[[], None]) -> None:
        """Let `look` raise where the image with that id has no shell."""
        if image not in self._with_shell:
            look()
            self._with_shell.add(image)

    def actor(self, content: Content | None) -> Actor | None:
        """Who acts in a container of that content, where that was proved; None is a content like no other's."""
        return None if content is None else self._actors.get(content)

    def remember(self, content: Content | None, actor: Actor) -> None:
        """Take down who acts. Only what was proved: what could not be may have failed for a reason that passes."""
        if content is not None and actor.confined:
            self._actors[content] = actor


@functools.cache
def known_of(engine: str) -> Known:  # noqa: ARG001 - what the answer is kept by
    """What this process knows of the engine at that address: each scenario makes a backend of its own."""
    return Known()
