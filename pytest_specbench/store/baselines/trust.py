"""Whom to believe: maintainers, the keys they sign with, and whether a signature is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast

from pytest_specbench.core.settings import Settings
from pytest_specbench.store.baselines.maintainers import Maintainers, read_maintainers
from pytest_specbench.store.baselines.signers import read_revoked, read_signers
from pytest_specbench.store.trees import Tree

type Signing = Literal["off", "optional", "required"]


@dataclass(frozen=True)
class Trust:
    """Whom to believe."""

    signing: Signing
    maintainers: Maintainers = field(default_factory=Maintainers)
    allowed_signers: bytes | None = None
    """Content of the allowed-signers file; None: nobody can sign."""
    revoked: bytes | None = None
    """Keys that never count, whenever they signed."""


def read_trust(tree: Tree, signing: Signing) -> Trust:
    """The maintainers and signers of a baseline folder. BlockedError when they cannot be read."""
    return Trust(signing, read_maintainers(tree), read_signers(tree), read_revoked(tree))


def signing_of(settings: Settings) -> Signing:
    """Whether approvals are signed."""
    return cast("Signing", settings.signing)
