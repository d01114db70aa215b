"""What a work tree has otherwise than a ref that is laid out: scenarios that it adds, and what of it does not count."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.git import git
from pytest_specbench.core.status import Cause
from pytest_specbench.core.text import visible
from pytest_specbench.core.yaml_text import MAX_BYTES, parse
from pytest_specbench.store.lock import LOCK_NAME

SUFFIXES = (".scenario.yaml", ".scenario.yml")
"""As scenarios.loader has them."""
REGISTRY = "registry.json"
"""As scenarios.registry_file has it."""
CONFIGURATION = frozenset(
    {
        *("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"),
        *("conftest.py", "setup.py", REGISTRY, LOCK_NAME),
    }
)
"""Names of files that say what runs and how it is judged, wherever they lie."""


@dataclass(frozen=True)
class Changes:
    """What was found."""

    added: tuple[str, ...] = ()
    """Scenario files that only the work tree has, relative to its top."""
    altered: tuple[str, ...] = ()
    """What of the work tree does not count, a sentence each."""
    registries: tuple[str, ...] = ()
    """Registries that only the work tree has, where the ref has neither one nor a scenario that it could move."""


def changes(folder: Path, paths: Sequence[str], work_tree: Path, ref: str, there: Collection[str]) -> Changes:
    """Hold a work tree, whose files are `there`, against the files `paths` of a ref that is laid out in `folder`.

    A scenario whose id the ref has is no addition, whatever its file is called: it was moved, and the ref's runs. The
    registry is the ref's, too; but the change that brings the first scenarios brings the first registry.
    """
    scenarios = [path for path in paths if path.endswith(SUFFIXES)]
    beside = {path.rpartition("/")[0] for path in scenarios}
    index = _Index(folder, scenarios)
    altered = []
    for path in paths:
        how = _how(folder / path, work_tree / path) if _judges(path, beside) or index.taken_along(path) else ""
        if how and not index.under_test(path):
            altered.append(f"{visible(path)} is {how}; the one at {ref} counts")
    added: list[str] = []
    registries: list[str] = []
    first = not scenarios and not any(path.rpartition("/")[2] == REGISTRY for path in paths)
    for path in sorted({*there} - {*paths}):
        if path.endswith(SUFFIXES):
            at_ref, named_by = index.file_of(_mapping(work_tree / path).get("scenario_id")), index.named_by(path)
            if at_ref is not None:
                altered.append(f"{visible(path)} is added, with the id of {visible(at_ref)}; the one at {ref} counts")
            elif named_by is not None or not path.isprintable():
                why = "its name cannot be shown" if named_by is None else f"it lies in what {visible(named_by)} names"
                altered.append(f"{visible(path)} is added, and is not run: {why}")
            else:
                added.append(path)
        elif first and path.rpartition("/")[2] == REGISTRY:
            registries.append(path)
        elif path.rpartition("/")[2] in CONFIGURATION and os.path.lexists(work_tree / path):
            altered.append(f"{visible(path)} is added; nothing reads it before it is at {ref}")
    return Changes(tuple(added), tuple(altered), tuple(registries))


class _Index:
    """What the scenarios of the ref declare; they are read when it is first asked for, each once."""

    def __init__(self, folder: Path, scenarios: Sequence[str]) -> None:
        self._folder = folder
        self._scenarios = scenarios

    @cached_property
    def _read(self) -> tuple[dict[str, str], dict[str, str], set[str]]:
        """Scenario id -> file; what a scenario names -> its file; what of that is under test."""
        ids: dict[str, str] = {}
        named: dict[str, str] = {}
        tested: set[str] = set()
        for path in self._scenarios:
            content = _mapping(self._folder / path)
            scenario_id, subject = content.get("scenario_id"), content.get("subject")
            verification = content.get("verification")
            if isinstance(scenario_id, str):
                ids.setdefault(scenario_id, path)
            sources = _places(path, _sources(content))
            if isinstance(subject, tuple) and "fixtures" in subject:
                tested |= sources
            files = verification.get("files") if isinstance(verification, dict) else None
            named |= dict.fromkeys(sources | _places(path, [files, content.get("solution")]), path)
        return ids, named, tested

    def file_of(self, scenario_id: object) -> str | None:
        """The file that declares an id."""
        return self._read[0].get(scenario_id) if isinstance(scenario_id, str) else None

    def named_by(self, path: str) -> str | None:
        """The scenario by which a path is read."""
        return next((self._read[1][one] for one in _and_above(path) if one in self._read[1]), None)

    @cached_property
    def _elsewhere(self) -> set[str]:
        """What scenarios take along from folders above their own. Only those that have a '../' in them are read."""
        found: set[str] = set()
        for path in self._scenarios:
            try:
                content = _content(self._folder / path)
            except OSError:
                continue
            if b"../" in content:
                found |= _places(path, _sources(parse(content).data))
        return found

    def taken_along(self, path: str) -> bool:
        """Whether a file belongs to a fixture that lies elsewhere than beside its scenario."""
        return bool(self._elsewhere) and any(one in self._elsewhere for one in _and_above(path))

    def under_test(self, path: str) -> bool:
        """Whether a path belongs to a fixture that is under test."""
        return any(one in self._read[2] for one in _and_above(path))


def _sources(scenario: object) -> list[object]:
    """Where the fixtures of a scenario come from."""
    fixtures = scenario.get("fixtures") if isinstance(scenario, dict) else None
    return (
        [one.get("source") for one in fixtures.values() if isinstance(one, dict)] if isinstance(fixtures, dict) else []
    )


def _places(scenario: str, given: Iterable[object]) -> set[str]:
    folder = posixpath.dirname(scenario)
    return {posixpath.normpath(posixpath.join(folder, one)) for one in given if isinstance(one, str)}


def _and_above(path: str) -> Iterator[str]:
    yield path
    yield from (str(one) for one in PurePosixPath(path).parents)


def add(folder: Path, work_tree: Path, added: Sequence[str]) -> Changes:
    """Copy files that a work tree adds to their places. What cannot be copied is listed as altered: where
    the ref has something else than a folder on the way, and what is no regular file.
    """
    copied, told = [], []
    for path in added:
        try:
            place = folder
            for part in PurePosixPath(path).parent.parts:
                place /= part
                if not os.path.lexists(place):
                    place.mkdir()
                elif not stat.S_ISDIR(place.lstat().st_mode):
                    raise NotADirectoryError(0, f"{place.relative_to(folder)} is not a folder at the ref")
            with (folder / path).open("xb") as file:
                file.write(_content(work_tree / path))
        except OSError as error:
            told.append(f"{visible(path)} is added, and cannot be run: {error.strerror}")
            continue
        copied.append(path)
    return Changes(tuple(copied), tuple(told))


def listed(work_tree: Path) -> frozenset[str]:
    """Every file of the work tree that git does not ignore."""
    answer = git(work_tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if answer.code:
        raise BlockedError(
            f"git cannot list the files of the work tree: {answer.error}",
            cause=Cause.CONFIGURATION,
            where=str(work_tree),
            hint=f"git -C {work_tree} status",
        )
    return frozenset(os.fsdecode(name) for name in answer.out.split(b"\0") if name)


def _judges(path: str, beside: set[str]) -> bool:
    """Whether a file has a part in what runs, and in how it is judged: by its name, or since it lies with scenarios."""
    folder, _, name = path.rpartition("/")
    if name in CONFIGURATION or name.endswith(SUFFIXES):
        return True
    # Scenarios at the top lie beside everything that the repository holds.
    return any(str(above) in beside for above in (PurePosixPath(folder), *PurePosixPath(folder).parents) if above.name)


def _how(before: Path, now: Path) -> str:
    """What became of a file; empty where it is as it was."""
    if not os.path.lexists(now):
        return "removed"
    if before.is_symlink() or now.is_symlink():
        same = before.is_symlink() and now.is_symlink() and before.readlink() == now.readlink()
    else:
        same = now.is_file() and before.stat().st_size == now.stat().st_size and _equal(before, now)
    return "" if same else "changed"


def _equal(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while block := first.read(1 << 20):
            if block != second.read(1 << 20):
                return False
    return True


def _mapping(path: Path) -> dict[str, Any]:
    """What a scenario file says; nothing where it cannot be read."""
    try:
        content = _content(path)
    except OSError:
        return {}
    data = parse(content).data
    return data if isinstance(data, dict) else {}


def _content(path: Path) -> bytes:
    """A regular file's content; OSError for anything else, and for one that is larger than a scenario may be."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_BYTES:
            raise OSError(0, f"it is not a regular file of at most {MAX_BYTES} bytes")
        return file.read(MAX_BYTES)
