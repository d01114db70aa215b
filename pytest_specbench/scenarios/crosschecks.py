"""What no schema can say: names that must fit together, and files that must lie beside the scenario.

Works on the raw document, so that these problems are reported together with those of its form.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pytest_specbench.core.errors import ScenarioError
from pytest_specbench.core.metrics import DEFAULT_THRESHOLDS_PERCENT, METRICS, WITHOUT_DEGREES
from pytest_specbench.core.problems import MOST, KeyPath, Problem, one_of
from pytest_specbench.scenarios.forms import SHORT_METRICS, inside, source
from pytest_specbench.scenarios.tree import list_tree, require_file

REPLAY = "replay:"


def named_files(data: dict[str, Any]) -> Iterator[tuple[KeyPath, str, bool]]:
    """Every path that the document names: its key, the path, and whether a folder will do."""
    fixtures = data.get("fixtures")
    for name, fixture in fixtures.items() if isinstance(fixtures, dict) else ():
        if isinstance(fixture, dict) and fixture.get("type") == "files":
            yield ("fixtures", name, "source"), fixture.get("source", ""), True
    yield ("solution",), data.get("solution", ""), False
    verification, model = data.get("verification"), data.get("model")
    if isinstance(verification, dict):
        yield ("verification", "files"), verification.get("files", ""), True
    name = model.get("name") if isinstance(model, dict) else None
    if isinstance(name, str) and name.startswith(REPLAY):
        yield ("model", "name"), name.removeprefix(REPLAY), False


def cross_check(data: dict[str, Any], folder: Path, known_checks: Collection[str] | None) -> list[Problem]:
    """The problems of names and files, not many more than are told. `known_checks`: names of artifact checks; None: not
    looked at.
    """
    found = chain(_fixtures(data), _thresholds(data), _checks(data, known_checks), _files(data, folder))
    return list(islice(found, MOST + 1))


def _fixtures(data: dict[str, Any]) -> Iterator[Problem]:
    fixtures, prerequisites = data.get("fixtures", {}), data.get("prerequisites", ())
    if not isinstance(fixtures, dict) or not isinstance(prerequisites, tuple):
        return
    for index, name in enumerate(prerequisites):
        if isinstance(name, str) and name not in fixtures:
            yield Problem(("prerequisites", index), f"no fixture is called {name!r}", one_of(fixtures, name))
    used = {name for name in prerequisites if isinstance(name, str)}
    for name in fixtures:
        if name not in used:
            yield Problem(
                ("fixtures", name), f"the fixture {name!r} is not used", "its name in prerequisites, or no such fixture"
            )


def _thresholds(data: dict[str, Any]) -> Iterator[Problem]:
    tracked, thresholds = data.get("metrics_tracked", ()), data.get("thresholds", {})
    if not isinstance(tracked, tuple) or not isinstance(thresholds, dict):
        return
    judged = {SHORT_METRICS.get(name, name) for name in thresholds} | {*DEFAULT_THRESHOLDS_PERCENT, *WITHOUT_DEGREES}
    for index, name in enumerate(tracked):
        full = SHORT_METRICS.get(name, name) if isinstance(name, str) else None
        if full in METRICS and full not in judged:
            yield Problem(
                ("metrics_tracked", index),
                f"nothing would judge {name!r}: it has no threshold",
                f"a threshold for it, in percent, under `thresholds`, for example `{name}: 20`",
            )


def _checks(data: dict[str, Any], known: Collection[str] | None) -> Iterator[Problem]:
    artifacts = data.get("success_artifacts", ())
    if known is None or not isinstance(artifacts, tuple):
        return
    for index, artifact in enumerate(artifacts):
        name = artifact.get("check") if isinstance(artifact, dict) else None
        # `module:function` is a check of somebody else's, found when it is loaded.
        if isinstance(name, str) and name not in known and ":" not in name:
            expected = one_of(sorted(known), name)
            yield Problem(("success_artifacts", index, "check"), f"no check is called {name!r}", expected)


def _files(data: dict[str, Any], folder: Path) -> Iterator[Problem]:
    for keys, path, folder_will_do in named_files(data):
        if not isinstance(path, str) or (not path and keys != ("model", "name")):
            continue
        try:
            (source if keys[-1] == "source" else inside)(path)
        except ValueError as error:
            if keys == ("model", "name"):
                yield Problem(keys, f"the cassette {path!r} is not accepted", str(error).removeprefix("must be "))
            continue
        try:
            if folder_will_do:
                list_tree(folder, path)
            else:
                require_file(folder, path)
        except ScenarioError as error:
            yield Problem(keys, error.message, error.expected)
