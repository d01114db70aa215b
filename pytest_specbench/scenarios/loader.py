"""Scenario files -> `LoadedScenario`: read, checked against the format and against what lies beside them."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from pytest_specbench.core.errors import ScenarioError
from pytest_specbench.core.problems import KeyPath, place, scenario_error
from pytest_specbench.core.yaml_text import MAX_BYTES, Parsed, parse
from pytest_specbench.scenarios.crosschecks import cross_check
from pytest_specbench.scenarios.model import Scenario
from pytest_specbench.scenarios.sentences import problems_of

SUFFIXES = (".scenario.yaml", ".scenario.yml")
_NEVER_ENTERED = frozenset({"__pycache__", "node_modules", "venv"})


@dataclass(frozen=True)
class LoadedScenario:
    """A valid scenario and where it came from."""

    scenario: Scenario
    path: Path
    """The file, absolute, links resolved."""
    folder: Path
    """What the scenario names lies in here: its folder, unless it was loaded for another one."""
    given: str
    """The file as it was given."""
    content: bytes = field(repr=False)
    """What the file held when it was loaded."""

    @property
    def lines(self) -> Mapping[KeyPath, int]:
        """Key path, for example `("runner", "cpus")` or `("success_artifacts", 0, "path")` -> line, from 1.

        Read from `content` again on each use: seldom asked for, and a table for each of 10,000 files is dear.
        """
        return parse(self.content).lines

    def where(self, *keys: str | int) -> str:
        """`file:line: key.path`, with the file as it was given; a key that is not there has its parent's line."""
        return place(self.given, self.lines, keys)


def is_scenario_file(path: Path) -> bool:
    """Whether the name says that it is a scenario file."""
    return path.name.endswith(SUFFIXES)


def load_scenario(
    path: Path, *, known_checks: Collection[str] | None = None, data: Path | None = None
) -> LoadedScenario:
    """Load one scenario file. Raises ScenarioError, whose `problems` are all that is wrong with it, or the
    first hundred of them.

    `known_checks` are the registered artifact checks; None leaves their names unchecked. `data` is the folder that
    holds what the scenario names; None: the file's own.
    """
    given = str(path)
    resolved, content = _read(path, given)
    parsed = parse(content)
    scenario = _validated(parsed)
    folder = resolved.parent if data is None else data.resolve()
    if parsed.usable:
        taken = {problem.keys for problem in parsed.problems}
        found = cross_check(parsed.data, folder, known_checks)
        parsed.problems += [problem for problem in found if problem.keys not in taken]
    if parsed.problems or scenario is None:
        raise scenario_error(given, parsed.lines, parsed.problems)
    return LoadedScenario(scenario=scenario, path=resolved, folder=folder, given=given, content=content)


def find_scenarios(paths: Iterable[Path]) -> list[Path]:
    """The scenario files at and below `paths`, each once, a path at a time and sorted within it.

    Hidden folders, links to folders, `node_modules`, `venv` and `__pycache__` are not entered. Raises ScenarioError for
    a path that is not there, is no scenario file, or holds none: nothing to check must not look like nothing wrong.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir it answers for every name
            below = sorted(_walk(path))
            if not below:
                raise ScenarioError("no scenario file is in here", where=str(path), expected=_NAMES)
            found.update(dict.fromkeys(below))
        elif not os.path.exists(path):  # noqa: PTH110 - as above
            raise ScenarioError("is not there", where=str(path), expected="a scenario file or a folder")
        elif not is_scenario_file(path):
            raise ScenarioError("is not named like a scenario file", where=str(path), expected=_NAMES)
        else:
            found[path] = None
    return list(found)


def check_unique(loaded: Iterable[LoadedScenario]) -> None:
    """Raises ScenarioError, with both places of each, when two files have one scenario id."""
    first: dict[str, LoadedScenario] = {}
    problems = []
    for each in loaded:
        other = first.setdefault(each.scenario.scenario_id, each)
        if other is not each and other.path != each.path:
            problems.append(
                ScenarioError(
                    f"the id {each.scenario.scenario_id!r} is taken by {other.where('scenario_id')}",
                    where=each.where("scenario_id"),
                    expected="an id that no other scenario has",
                )
            )
    if problems:
        raise ScenarioError("scenario ids are not unique", where=problems[0].where, problems=tuple(problems))


_VISIBLE = "a path of visible characters, without '::', which separates a file from its scenario"
_NAMES = "names that end in " + " or ".join(SUFFIXES)


def _read(path: Path, given: str) -> tuple[Path, bytes]:
    """The resolved path and the content, of which never more than one byte over the limit is read."""
    if not is_scenario_file(path):
        raise _unreadable(given, "is not named like a scenario file", _NAMES)
    if not given.isprintable() or "::" in given:
        raise _unreadable(given, "has a name that could not be told from others in a report", _VISIBLE)
    try:
        resolved = os.path.realpath(path, strict=True)
        # A pipe would block when it is opened, so look first.
        found = os.stat(resolved)  # noqa: PTH116 - half the cost of Path.stat, and this is hot
        if not stat.S_ISREG(found.st_mode):
            raise _unreadable(given, "is not a file", "a scenario file")
        with open(resolved, "rb", buffering=0) as file:  # noqa: PTH123 - as above
            # Asked for all that is allowed, it would clear a megabyte for each small file.
            content = file.read(min(found.st_size, MAX_BYTES) + 1)
            if len(content) > found.st_size:  # it has grown since
                content += file.read(MAX_BYTES + 1 - len(content))
            return Path(resolved), content
    except (OSError, ValueError) as error:  # a name with NUL or half a character is no OSError
        why = getattr(error, "strerror", None) or "that is no name of a file"
        raise _unreadable(given, f"cannot be read: {why}", "a scenario file that can be read") from error


def _unreadable(given: str, message: str, expected: str) -> ScenarioError:
    problem = ScenarioError(message, where=given, expected=expected)
    return ScenarioError(message, where=given, expected=expected, problems=(problem,))


def _validated(parsed: Parsed) -> Scenario | None:
    """The model, or None with the reasons added to `parsed.problems`."""
    if not parsed.usable:
        return None
    try:
        return Scenario.model_validate(parsed.data, strict=True)
    except ValidationError as error:
        # What is refused as YAML already needs no second complaint about the value that stands in for it.
        taken = {problem.keys for problem in parsed.problems}
        parsed.problems += [problem for problem in problems_of(error, parsed) if problem.keys not in taken]
        return None


def _unlistable(error: OSError) -> None:
    """A folder that cannot be looked into may hold scenarios: it is not passed over in silence."""
    raise ScenarioError(f"cannot be looked into: {error.strerror}", where=str(error.filename)) from error


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, onerror=_unlistable):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _NEVER_ENTERED]
        yield from (Path(parent, name) for name in files if name.endswith(SUFFIXES))
