"""Who acts as a maintainer, and how they prove it: by a signature, or by git's word."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from pytest_specbench.core.errors import ApprovalRefusedError
from pytest_specbench.core.git import git
from pytest_specbench.core.settings import Settings
from pytest_specbench.store.baselines.signing import SignatureError, configured_key, principal_of, sign
from pytest_specbench.store.baselines.trust import Trust

PROBE = b"Who signs for the approvals of this repository?\n"
"""What is signed in order to see whose key it is."""


@dataclass(frozen=True)
class Maintainer:
    """A person who acts, in a rotation."""

    principal: str
    """As `maintainers.yaml` and `allowed_signers` call them."""
    rotation: str
    """The rotation that they act for."""
    sign: Callable[[bytes], bytes] | None
    """Signs an audit entry; None where git's word is all there is."""

    @property
    def verified(self) -> bool:
        """Whether a signature proves who it is."""
        return self.sign is not None


def who_acts(settings: Settings, trust: Trust) -> Maintainer:
    """The maintainer who runs this command. Raises ApprovalRefusedError when the user is none, is not of the rotation
    that is asked for, or cannot sign where signatures are required.
    """
    principal, signer = _signer(settings, trust) if trust.signing != "off" else (None, None)
    if principal is None:
        if trust.signing == "required":
            raise ApprovalRefusedError(
                "not authorised",
                ("approvals must be signed here, and there is no key to sign with",),
                hint="--specbench-signing-key PATH, or git config gpg.format ssh and user.signingkey PATH",
            )
        principal = email_by_git(settings)
    if principal is None:
        raise ApprovalRefusedError(
            "not authorised", ("nobody can tell who you are",), hint="git config user.email, or sign with --signing-key"
        )
    return Maintainer(principal, trust.maintainers.rotation(principal, settings.rotation), signer)


def email_by_git(settings: Settings) -> str | None:
    """The e-mail address that git would put under a commit here, which anybody can set; None where there is none."""
    found = git(settings.work_tree, "config", "--get", "user.email").out.strip()
    return os.fsdecode(found) or None


def _signer(settings: Settings, trust: Trust) -> tuple[str | None, Callable[[bytes], bytes] | None]:
    """Whose key there is, and how to sign with it. With `optional`, git's key may be one that nobody listed."""
    key = settings.signing_key or configured_key(settings.work_tree)
    if key is None:
        return None, None
    asked_for = settings.signing_key is not None or trust.signing == "required"
    if trust.allowed_signers is None:
        if not asked_for:
            return None, None
        raise ApprovalRefusedError(
            "not authorised",
            ("there is no allowed_signers in the baseline folder, so that no signature could be verified",),
            hint='add a line such as: mara@example.org namespaces="specbench" ssh-ed25519 AAAA...',
        )
    try:
        signature = sign(PROBE, key)
        now = datetime.now(UTC)
        return principal_of(PROBE, signature, trust.allowed_signers, now, trust.revoked), partial(sign, key=key)
    except SignatureError as error:
        if not asked_for:
            return None, None
        raise ApprovalRefusedError("not authorised", (str(error),)) from None
