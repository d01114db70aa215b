"""`allowed_signers` in the baseline folder: OpenSSH's format, read strictly, so that a key is exactly one person's."""

from __future__ import annotations

import base64
import binascii
import re

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.store.baselines.maintainers import PRINCIPAL
from pytest_specbench.store.baselines.signing import NAMESPACE
from pytest_specbench.store.trees import Tree

ALLOWED_SIGNERS = "allowed_signers"
REVOKED = "revoked_signers"

FORM = f'mara@example.org namespaces="{NAMESPACE}" ssh-ed25519 AAAA...'

_OPTION = r'(?:namespaces="[^"]*"|valid-(?:after|before)="?\d{8}(?:\d{4}(?:\d{2})?)?Z?"?)'
_LINE = re.compile(
    rf"(?P<principal>\S+)[ \t]+(?:(?P<options>{_OPTION}(?:,{_OPTION})*)[ \t]+)?"
    r"(?P<kind>(?:ssh|ecdsa|sk)-[A-Za-z0-9@.-]+)[ \t]+(?P<key>[A-Za-z0-9+/]+={0,2})(?:[ \t].*)?",
    re.IGNORECASE,
)


def read_signers(tree: Tree) -> bytes | None:
    """The file's content; None where there is none. BlockedError(CONFIGURATION) with the line of what is wrong: a line
    that is no signer, names several people or a pattern, is not restricted to our namespace, or gives one person's key
    to another.
    """
    content = tree.read(ALLOWED_SIGNERS)
    if content is None:
        return None
    owners: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8", "surrogateescape").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            why = _problem(line, owners)
            if why:
                raise BlockedError(
                    why,
                    cause=Cause.CONFIGURATION,
                    where=f"{tree.label}/{ALLOWED_SIGNERS}:{number}",
                    expected=FORM,
                    hint="man ssh-keygen, ALLOWED SIGNERS",
                )
    return content


def read_revoked(tree: Tree) -> bytes | None:
    """Revoked keys: public keys, one a line, or an OpenSSH key revocation list. None where there is no such file."""
    return tree.read(REVOKED)


def _problem(line: str, owners: dict[str, str]) -> str:
    """What is wrong with a line; empty when nothing is. The key is added to `owners`."""
    found = _LINE.fullmatch(line.rstrip())
    if found is None:
        return "it is no line of a signer with options that are known here"
    principal, key = found["principal"], found["key"]
    if not PRINCIPAL.fullmatch(principal):
        return f"{principal!r} is not the name of one person, but a list or a pattern"
    namespaces = re.search(r'namespaces="([^"]*)"', found["options"] or "", re.IGNORECASE)
    if namespaces is None or namespaces[1] != NAMESPACE:
        return f'its key is not for namespaces="{NAMESPACE}", and for nothing else'
    try:
        blob = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return "its key is not base64"
    kind = found["kind"].encode()
    if blob[: 4 + len(kind)] != len(kind).to_bytes(4, "big") + kind:
        return f"its key is no {found['kind']} key"
    if owners.setdefault(base64.b64encode(blob).decode(), principal) != principal:
        return f"its key is {owners[base64.b64encode(blob).decode()]}'s already"
    return ""
