"""What a scenario consists of, as files and as one hash: what is compared must have been the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pytest_specbench.scenarios.crosschecks import named_files
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.scenarios.tree import TreeFile, list_tree, read_bytes


def content_files(loaded: LoadedScenario) -> list[Path]:
    """The scenario file and every file that it names (fixtures, solution, verification, cassette), each once.

    The scenario file comes first, the others follow sorted by path. Raises ScenarioError when one is gone.
    """
    return [file.source for file in _files(loaded)]


def scenario_hash(loaded: LoadedScenario) -> str:
    """SHA-256, in hex, over path, executable bit and content of `content_files`, relative to the scenario's folder.

    Lengths delimit the parts, so that no two different trees give one hash. The scenario file counts as it was loaded;
    the others as they are now.
    """
    digest = hashlib.sha256(b"specbench scenario 1\n")
    for index, file in enumerate(_files(loaded)):
        content = read_bytes(file.source) if index else loaded.content
        add(digest, file.path.encode(), b"x" if file.executable else b"-", content)
    return digest.hexdigest()


def tree_hash(loaded: LoadedScenario, relative: str | None) -> str:
    """The same over one file or folder beside the scenario; the empty string for None."""
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


def _files(loaded: LoadedScenario) -> list[TreeFile]:
    own = TreeFile(loaded.path.name, loaded.path, executable=False)
    found: dict[Path, TreeFile] = {}
    for _, relative, _ in named_files(loaded.scenario.model_dump()):
        for file in list_tree(loaded.folder, relative) if relative else ():
            path = file.source.relative_to(loaded.folder).as_posix()
            found[file.source] = TreeFile(path, file.source, file.executable)
    found.pop(loaded.path, None)
    return [own, *sorted(found.values(), key=lambda file: file.path)]
