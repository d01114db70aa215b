"""One hash of what lies beside a scenario: what is compared must have been the same."""

from __future__ import annotations

import hashlib

from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.scenarios.tree import list_tree, read_bytes


def tree_hash(loaded: LoadedScenario, relative: str | None) -> str:
    """SHA-256, in hex, over path, executable bit and content of each file of one file or folder beside the scenario, as
    they are now; the empty string for None. Lengths delimit the parts, so that no two different trees give one hash.

    Raises ScenarioError when one is gone.
    """
    if relative is None:
        return ""
    digest = hashlib.sha256(b"specbench tree 1\n")
    for file in list_tree(loaded.folder, relative):
        add(digest, file.path.encode(), b"x" if file.executable else b"-", read_bytes(file.source))
    return digest.hexdigest()


def add(digest: hashlib._Hash, *parts: bytes) -> None:
    """Feed parts to a hash, each after its length."""
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
