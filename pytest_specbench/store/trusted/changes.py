"""What a work tree has otherwise than a ref that is laid out: scenarios that it adds, and what of it does not count."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.git import git
from pytest_specbench.core.status import Cause
from pytest_specbench.core.yaml_text import MAX_BYTES, parse
from pytest_specbench.store.lock import LOCK_NAME

SUFFIXES = (".scenario.yaml", ".scenario.yml")
"""As scenarios.loader has them."""
CONFIGURATION = frozenset(
    {
        *("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"),
        *("conftest.py", "setup.py", "registry.json", LOCK_NAME),
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


def changes(folder: Path, paths: Sequence[str], work_tree: Path, ref: str) -> Changes:
    """Hold a work tree against the files `paths` of a ref that is laid out in `folder`.

    A scenario whose id the ref has is no addition, whatever its file is called: it was moved, and the ref's runs.
    BlockedError(CONFIGURATION) when git cannot list the work tree's files.
    """
    scenarios = [path for path in paths if path.endswith(SUFFIXES)]
    beside = {path.rpartition("/")[0] for path in scenarios}
    there = _listed(work_tree)
    before = frozenset(paths)
    altered = []
    for path in paths:
        if not _judges(path, beside):
            continue
        how = _how(folder / path, work_tree / path)
        if how and not _under_test(folder, path, scenarios):
            altered.append(f"{path} is {how}; the one at {ref} counts")
    added: list[str] = []
    for path in sorted(there - before):
        if path.endswith(SUFFIXES):
            scenario_id = _mapping(work_tree / path).get("scenario_id")
            at_ref = _place_of(scenario_id, folder, scenarios)
            if at_ref is None:
                added.append(path)
            else:
                altered.append(f"{path} is added, with the id of {at_ref}; the one at {ref} counts")
        elif path.rpartition("/")[2] in CONFIGURATION and os.path.lexists(work_tree / path):
            altered.append(f"{path} is added; nothing reads it before it is at {ref}")
    return Changes(tuple(added), tuple(altered))


def add(folder: Path, work_tree: Path, added: Sequence[str]) -> Changes:
    """Copy the scenario files that a work tree adds to their places. What cannot be copied is told as altered: where
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
            told.append(f"{path} is added, and cannot be run: {error.strerror}")
            continue
        copied.append(path)
    return Changes(tuple(copied), tuple(told))


def _listed(work_tree: Path) -> frozenset[str]:
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


def _under_test(folder: Path, path: str, scenarios: Sequence[str]) -> bool:
    """Whether a file belongs to a fixture that a scenario of the ref puts under test."""
    for name in scenarios:
        place = PurePosixPath(name).parent
        content = _mapping(folder / name)
        subject, fixtures = content.get("subject"), content.get("fixtures")
        if not isinstance(subject, tuple) or "fixtures" not in subject or not isinstance(fixtures, dict):
            continue
        sources = [one.get("source") for one in fixtures.values() if isinstance(one, dict)]
        roots = [posixpath.normpath(place / one) for one in sources if isinstance(one, str)]
        if any(PurePosixPath(path).is_relative_to(root) for root in roots):
            return True
    return False


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


def _place_of(scenario_id: Any, folder: Path, scenarios: Sequence[str]) -> str | None:
    """The file at the ref that declares an id."""
    if not isinstance(scenario_id, str):
        return None
    having = (path for path in scenarios if _mapping(folder / path, scenario_id).get("scenario_id") == scenario_id)
    return next(having, None)


def _mapping(path: Path, holding: str = "") -> dict[str, Any]:
    """What a scenario file says; nothing where it cannot be read, or does not hold a text."""
    try:
        content = _content(path)
    except OSError:
        return {}
    data = parse(content).data if holding.encode("utf-8", "surrogateescape") in content else None
    return data if isinstance(data, dict) else {}


def _content(path: Path) -> bytes:
    """A regular file's content; OSError for anything else, and for one that is larger than a scenario may be."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_BYTES:
            raise OSError(0, f"it is not a regular file of at most {MAX_BYTES} bytes")
        return file.read(MAX_BYTES)
