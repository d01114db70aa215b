"""Which scenarios belong to the dataset that was asked for: references, resolved by a registry or by a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from pytest_specbench.core.errors import DatasetError
from pytest_specbench.core.git import repository_of
from pytest_specbench.core.text import one_line
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.scenarios.model import DATASET_REFERENCE
from pytest_specbench.scenarios.registry_file import (
    REGISTRY_NAME,
    RegistryFile,
    RegistryRow,
    nearest_registry,
    read_registry,
)

NEWEST = "head"
"""The version that terminal-bench takes when none is given: it counts as newer than every number."""

_LISTED = 100
"""How many datasets are listed, and how long a name may be for its nearest to be looked for."""
_HINT = (
    "add a row for it to the registry, or name another: --specbench-dataset=NAME==VERSION, --specbench-registry=PATH"
)


@dataclass(frozen=True)
class Dataset:
    """A dataset that is on this machine."""

    name: str
    version: str | None
    """None for a plain folder."""
    folder: Path | None
    """Where its scenarios lie, absolute, links resolved."""
    scenario_ids: frozenset[str] | None
    """Only these belong to it; None: every scenario in the folder."""
    source: str
    """The registry file or the folder that it was resolved by."""
    row: RegistryRow | None = None
    """The registry's row; None for a plain folder."""

    @property
    def reference(self) -> str:
        """`NAME==VERSION`, or `NAME` where there is no version."""
        return self.name if self.version is None else f"{self.name}=={self.version}"


def resolve_dataset(reference: str, *, registry: str | None, near: Path) -> Dataset:
    """Find the dataset that `reference` names.

    `reference` is `NAME==VERSION`, `NAME@VERSION`, `NAME` (its newest version: `head` if there is one, as in
    terminal-bench, else the highest number) or an existing folder, relative to the working directory. A reference with
    a path separator, '.' or '..' is always a folder; any other is a folder only where no registry row has that name.
    `registry` is a path or URL; None: the nearest `registry.json` at or above `near`.

    Raises DatasetError with the nearest name and the list of what there is.
    """
    if reference in (".", "..") or "/" in reference or os.sep in reference:
        return _folder(reference)
    matched = DATASET_REFERENCE.match(reference)
    if matched is None:
        raise DatasetError(f"{reference!r} is no dataset", expected=_REFERENCE)
    name, version = matched["name"].strip(), matched["version"]
    source = registry if registry is not None else _shown(nearest_registry(near))
    is_folder = version is None and os.path.isdir(reference)  # noqa: PTH112 - it answers for every name
    if source is None:
        if is_folder:
            return _folder(reference)
        raise DatasetError(
            f"no registry says where the dataset {reference!r} is: there is no {REGISTRY_NAME} at or above {near}",
            expected="a registry file in terminal-bench's format, or a folder as the dataset",
            hint="specbench init, or --specbench-registry=PATH_OR_URL",
        )
    found = read_registry(source)
    if is_folder and not any(row.name == name for row in found.rows):
        return _folder(reference)
    row = _choose(found, name, version)
    subset = None if row.task_id_subset is None else frozenset(row.task_id_subset)
    return Dataset(row.name, row.version, _locate(found, row), subset, found.source, row)


def contains(dataset: Dataset, loaded: LoadedScenario) -> bool:
    """Whether a scenario belongs to a dataset: its file lies in the folder and its id is among those listed, if any."""
    if dataset.folder is None or not loaded.path.is_relative_to(dataset.folder):
        return False
    return dataset.scenario_ids is None or loaded.scenario.scenario_id in dataset.scenario_ids


_REFERENCE = "NAME==VERSION, NAME@VERSION, NAME or an existing folder"


def _folder(reference: str) -> Dataset:
    if not os.path.isdir(reference):  # noqa: PTH112 - unlike Path.is_dir it answers for every name
        raise DatasetError(f"there is no folder {one_line(repr(reference))}", expected=_REFERENCE)
    folder = Path(reference).resolve()
    return Dataset(folder.name, None, folder, None, str(folder))


def _choose(registry: RegistryFile, name: str, version: str | None) -> RegistryRow:
    rows = [row for row in registry.rows if row.name == name]
    if not rows:
        names = sorted({row.name for row in registry.rows})
        raise DatasetError(
            f"no dataset is called {name!r}",
            where=registry.source,
            expected=_listed(registry.rows, name, names),
            hint=_HINT,
        )
    if version is None:
        return max(rows, key=lambda row: _order(row.version))
    for row in rows:
        if row.version == version:
            return row
    versions = [row.version for row in rows]
    raise DatasetError(
        f"{name!r} has no version {version!r}",
        where=registry.source,
        expected=_listed(rows, version, versions),
        hint=_HINT,
    )


def _listed(rows: Iterable[RegistryRow], given: str, names: list[str]) -> str:
    known = [one_line(f"{row.name}=={row.version}", _LISTED) for row in rows]
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    there = ", ".join(known[:_LISTED]) + more or "nothing, for the registry is empty"
    near = get_close_matches(given, names[:_LISTED], n=1, cutoff=0.5) if len(given) <= _LISTED else []
    return f"one of {there}" + (f"; the nearest is {near[0]!r}" if near else "")


def _order(version: str) -> tuple[bool, tuple[tuple[int, int, str], ...]]:
    """Sorts versions: numbers by value, a text tail (`1.0rc1`) below its plain number, a longer number above.

    Numbers stay text, ordered by their length first: they may have more digits than Python makes a number of.
    """
    parts = re.findall(r"[0-9]+|[A-Za-z]+", version.removeprefix("v"))
    numbers = [part.lstrip("0") if part.isdigit() else None for part in parts]
    keys = [
        (0, 0, part.lower()) if number is None else (2, len(number), number)
        for part, number in zip(parts, numbers, strict=True)
    ]
    return version == NEWEST, (*keys, (1, 0, ""))


def _locate(registry: RegistryFile, row: RegistryRow) -> Path:
    """The folder of a dataset that is on this machine already."""
    url, where = row.github_url, f"{row.where}: github_url"
    if registry.folder is None or "://" in url or url.startswith("/") or re.match(r"[\w.-]+@[\w.-]+:", url):
        raise DatasetError(
            f"{row.name}=={row.version} lies in another repository, {url}; fetching datasets is not supported yet",
            where=where,
            expected="github_url '.' or a path relative to a registry file on this machine",
            hint="clone it, and give its folder as the dataset",
        )
    base = Path(os.path.realpath(registry.folder / url))
    if not base.is_relative_to(repository_of(registry.folder) or registry.folder):
        raise DatasetError(f"{url!r} climbs out of the repository", where=where, expected="a path inside it")
    where = f"{row.where}: dataset_path"
    folder = Path(os.path.realpath(base / row.dataset_path))
    climbs = ".." in PurePosixPath(row.dataset_path).parts or not folder.is_relative_to(base)
    if climbs or PurePosixPath(row.dataset_path).is_absolute():
        raise DatasetError(f"{row.dataset_path!r} climbs out of {url!r}", where=where, expected="a path inside it")
    if not os.path.isdir(folder):  # noqa: PTH112 - unlike Path.is_dir it answers for every name
        raise DatasetError(
            f"there is no folder {one_line(repr(row.dataset_path))}", where=where, expected=f"a folder in {base}"
        )
    return folder


def _shown(path: Path | None) -> str | None:
    """A path as people read it: relative to the working directory where it lies below it."""
    if path is None:
        return None
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
