"""Scenarios that are to be run by what a trusted ref has, and are not: moved away, left out of a dataset, or hidden."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from pytest_specbench.core.errors import BlockedError, DatasetError
from pytest_specbench.scenarios.datasets import row_of
from pytest_specbench.scenarios.registry_file import REGISTRY_NAME, parse_registry
from pytest_specbench.store.baselines.audit import read_trail
from pytest_specbench.store.trees import Tree
from pytest_specbench.store.trusted.authority import Authority
from pytest_specbench.store.trusted.ref import TrustedRef, active_scenarios
from pytest_specbench.store.trusted.scenarios import scenarios_at


@dataclass(frozen=True)
class Asked:
    """What was asked for, by words in which the change has no part: the command line, and a configuration that is the
    ref's or blocks.
    """

    paths: tuple[Path, ...] = ()
    """Files and folders, absolute."""
    globs: tuple[str, ...] = ()
    """Globs of absolute paths that were asked for as well."""
    ignored: tuple[str, ...] = ()
    """Globs of absolute paths that were left out with all below them."""
    not_entered: tuple[str, ...] = ()
    """Globs of folders that are not entered, as pytest's `norecursedirs`."""
    scenarios: tuple[str, ...] = ()
    """Only these ids; empty: all."""
    dataset: str | None = None
    """Only what belongs to this dataset."""
    registry: str | None = None
    """The registry by which the dataset is found; None: the nearest."""


def missing(whose: Authority, asked: Asked, there: Collection[str]) -> Iterator[str]:
    """The scenarios with an active baseline that the ref has among what was asked for, and that are not `there` by
    their ids, a sentence each. Those that are gone altogether are among `whose.altered`.
    """
    if whose.ref is None:
        return
    told = {one.scenario_id for one in whose.altered if one.blocks}
    owed = active_scenarios(read_trail(whose.tree)) - told - set(there)
    if asked.scenarios:
        owed &= set(asked.scenarios)
    if not owed:
        return
    files = whose.ref.tree(whose.ref.repository)
    for path, ids in sorted(scenarios_at(whose.ref).items()):
        for scenario_id in sorted(ids & owed):
            if _below(whose.ref, path, asked) and _in_dataset(whose.ref, files, path, scenario_id, asked):
                owed.remove(scenario_id)
                yield (
                    f"the scenario {scenario_id!r}, which has an active baseline and lies at {path} at "
                    f"{whose.ref.ref}, is not run here any more: it was moved, left out of the dataset, or is not "
                    "collected; bring it back, retire its baselines first (specbench baseline retire), or put it into "
                    "a change of its own"
                )


def _below(ref: TrustedRef, path: str, asked: Asked) -> bool:
    """Whether pytest would come upon a file of the ref."""
    absolute = PurePosixPath(ref.repository, path)
    chain = [str(one) for one in (absolute, *absolute.parents)]
    if any(fnmatch(one, glob.rstrip("/")) for one in chain for glob in asked.ignored):
        return False
    if any(fnmatch(one, glob.rstrip("/")) for one in chain for glob in asked.globs):
        return True
    return any(_leads_to(place, PurePosixPath(path), asked) for given in asked.paths for place in _places(ref, given))


def _leads_to(place: str, path: PurePosixPath, asked: Asked) -> bool:
    if not path.is_relative_to(place):
        return False
    folders = [one for one in path.parents if one != PurePosixPath(place) and one.is_relative_to(place)]
    return not any(
        fnmatch(f"/{folder}", f"*/{glob}") if "/" in glob else fnmatch(folder.name, glob)
        for folder in folders
        for glob in asked.not_entered
    )


def _places(ref: TrustedRef, given: Path) -> set[str]:
    """A path relative to the repository's top, as it is written and with links followed; none where it is outside."""
    found = set()
    for path in (given, given.resolve()):
        try:
            found.add(ref.inside(path))
        except BlockedError:
            continue
    return found


def _in_dataset(ref: TrustedRef, files: Tree, path: str, scenario_id: str, asked: Asked) -> bool:
    """Whether a scenario belongs to the dataset as the ref's registry has it. What that does not tell is no excuse."""
    if asked.dataset is None:
        return True
    try:
        if asked.dataset in (".", "..") or "/" in asked.dataset:
            return any(PurePosixPath(path).is_relative_to(one) for one in _places(ref, Path(asked.dataset).absolute()))
        registry = _registry(ref, files, path, asked)
        content = None if registry is None else files.read(registry)
        if registry is None or content is None:
            return True
        row = row_of(parse_registry(content.decode("utf-8-sig"), registry), asked.dataset)
        folder = posixpath.normpath(posixpath.join(posixpath.dirname(registry), row.github_url, row.dataset_path))
        listed = row.task_id_subset is None or scenario_id in row.task_id_subset
        return listed and PurePosixPath(path).is_relative_to(folder)
    except (DatasetError, BlockedError, UnicodeDecodeError):
        return True


def _registry(ref: TrustedRef, files: Tree, path: str, asked: Asked) -> str | None:
    """The registry's place at the ref; None where it is not in there."""
    if asked.registry is None:
        folders = [str(one).removeprefix(".") for one in PurePosixPath(path).parents]
        candidates = [posixpath.join(folder, REGISTRY_NAME) for folder in folders]
        return next((one for one in candidates if files.read(one) is not None), None)
    return None if "://" in asked.registry else ref.inside(Path(os.path.abspath(asked.registry)))  # noqa: PTH100 - links are `inside`'s matter
