"""Scenarios and lock entries that are at a trusted ref, held against those of the work tree."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping

from pydantic import ValidationError

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.fingerprint import LOCKED, LOCKED_PREFIX
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.yaml_text import parse
from pytest_specbench.store.baselines.audit import read_trail
from pytest_specbench.store.git import git
from pytest_specbench.store.lock import LOCK_NAME, LockFile
from pytest_specbench.store.trees import FolderTree, Tree, unusable
from pytest_specbench.store.trusted.ref import Alteration, TrustedRef, active_scenarios, kind

SUFFIXES = (".scenario.yaml", ".scenario.yml")
"""As scenarios.loader has them."""


def scenario_alterations(ref: TrustedRef, counts: Tree) -> list[Alteration]:
    """Scenarios with an active baseline in `counts`, the baseline folder that counts, whose file was deleted, or gives
    another id now: a scenario that is not run cannot fail. Retire its baseline first, and nothing blocks.

    Baselines whose scenario no file at the ref declares are left out: they belong to another repository's scenarios.
    """
    paths = _paths(ref)
    before = _ids(ref.tree(ref.repository), paths.before)
    now = _ids(FolderTree(ref.repository), paths.now)
    left = {scenario_id for ids in now.values() for scenario_id in ids}
    found = []
    for path, ids in sorted(before.items()):
        for scenario_id in sorted((ids & active_scenarios(read_trail(counts))) - left):
            becomes = (
                f"{path} declares {', '.join(sorted(now[path])) or 'none'} now" if path in now else f"{path} is gone"
            )
            sentence = (
                f"the scenario {scenario_id!r}, which has an active baseline, is there no more as it is at {ref.ref}: "
                f"{becomes}; "
                "retire its baselines first (specbench baseline retire), or bring it back"
            )
            found.append(Alteration(scenario_id, sentence, "removed", True, scenario_id))
    return found


def scenarios_at(ref: TrustedRef) -> dict[str, set[str]]:
    """Scenario files at the ref, relative to the repository's top -> the ids that they declare."""
    return _ids(ref.tree(ref.repository), _paths(ref).before)


type Gates = dict[tuple[str, str], list[Mapping[str, Scalar]]]
"""Backend and scenario -> the facts that say how strictly is judged, as each lock file pins them."""


def gates_at(ref: TrustedRef) -> Gates:
    """What the lock files of the ref pin, wherever they lie: a scenario that moves takes its gate along."""
    return _gates(ref.tree(ref.repository), _paths(ref).before)


def lock_alterations(ref: TrustedRef) -> list[Alteration]:
    """What lock files of the ref pin of how strictly is judged, and pin otherwise, or not at all, in the work tree."""
    now = _gates(FolderTree(ref.repository), _paths(ref).now)
    found: list[Alteration] = []
    for (backend, scenario_id), before in sorted(gates_at(ref).items()):
        pinned = now.get((backend, scenario_id), [])
        other = next((facts for facts in pinned if facts not in before), None)
        if pinned and other is None:
            continue
        for name, value in sorted(before[0].items()):
            new = None if other is None else other.get(name)
            if new != value:
                sentence = f"{LOCK_NAME} pins {name} of {scenario_id} in {backend} as {new}; it is {value} at {ref.ref}"
                found.append(Alteration(LOCK_NAME, sentence, kind(value, new), False, scenario_id))
    return found


class _Paths:
    """Scenario files and lock files, relative to the repository's top."""

    def __init__(self, before: Iterable[str], now: Iterable[str]) -> None:
        self.before = frozenset(before)
        self.now = frozenset(now)


def _paths(ref: TrustedRef) -> _Paths:
    at_ref = git(ref.repository, "ls-tree", "-r", "-z", "--name-only", "--full-tree", ref.commit)
    tracked = git(ref.repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for answer in (at_ref, tracked):
        if answer.code:
            raise _unlisted(ref, answer.error)
    return _Paths(_wanted(at_ref.out), _wanted(tracked.out))


def _wanted(listed: bytes) -> Iterator[str]:
    for name in map(os.fsdecode, listed.split(b"\0")):
        if name.endswith((*SUFFIXES, LOCK_NAME)):
            yield name


def _ids(tree: Tree, paths: Iterable[str]) -> dict[str, set[str]]:
    """The scenario ids that files declare. A file that is gone is left out; one that cannot be read declares none."""
    found: dict[str, set[str]] = {}
    for path in paths:
        if not path.endswith(SUFFIXES):
            continue
        try:
            content = tree.read(path)
        except BlockedError:
            content = b""
        if content is not None:
            data = parse(content).data
            declared = data.get("scenario_id") if isinstance(data, dict) else None
            found[path] = {declared} if isinstance(declared, str) else set()
    return found


def _gates(tree: Tree, paths: Iterable[str]) -> Gates:
    """Of all the lock files among `paths`; one that is gone or broken pins nothing."""
    found: Gates = {}
    for path in sorted(path for path in paths if path.rpartition("/")[2] == LOCK_NAME):
        try:
            lock = LockFile.model_validate(json.loads(tree.read(path) or b""))
        except (BlockedError, ValidationError, ValueError, RecursionError):
            continue
        for backend, entries in lock.sandboxes.items():
            for scenario_id, facts in entries.items():
                gate = {
                    name: value
                    for name, value in facts.items()
                    if name not in LOCKED and not name.startswith(LOCKED_PREFIX)
                }
                found.setdefault((backend, scenario_id), []).append(gate)
    return found


def _unlisted(ref: TrustedRef, error: str) -> BlockedError:
    return unusable(str(ref.repository), f"git cannot list the files at {ref.ref}: {error}")
