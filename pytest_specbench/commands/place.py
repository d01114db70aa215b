"""Where the artifacts and the baselines of the working directory are, found without a pytest session.

`settings_here` makes a whole configuration, with every plugin and conftest: half a second and other people's code. A
command that only reads needs a few values, by the usual order: command line, environment, ini file, default. pytest
itself is not even imported; the tests hold this reading of its files against pytest's own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from iniconfig import IniConfig, ParseError

from pytest_specbench.core.errors import SpecbenchError, UsageError
from pytest_specbench.core.git import repository_of
from pytest_specbench.core.settings import Settings, check_baselines_are_found, placed
from pytest_specbench.option_table import OPTIONS, Option
from pytest_specbench.recording.folder import check_output

FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
"""pytest's configuration files, first to last."""


@contextmanager
def told() -> Iterator[None]:
    """What the system refuses is told as an error of ours, not shown as a traceback."""
    try:
        yield
    except OSError as error:
        raise SpecbenchError(f"{error.strerror or error}", where=str(error.filename or "") or None) from None


@dataclass(frozen=True)
class Place:
    """Where things are, and how long runs are kept."""

    root: Path
    """The project, as `Settings.root`."""
    output: Path
    """Root of the artifacts."""
    baselines: Path
    """Root of the baseline records."""
    keep_runs: int | None
    """How many runs are kept; None: not said."""
    keep_days: float | None
    """For how many days runs are kept; None: not said."""
    baselines_from: str | None = None
    """Who named the folder of the baselines, for example `--baselines`; None: nobody, it is the default."""


def place_here(given: Mapping[str, str | None] | None = None) -> Place:
    """The place that the working directory's configuration names; `given` holds what the command line said, by option
    name. Raises UsageError for a wrong value, naming where it came from.
    """
    with told():
        configured_in, ini = configuration(Path.cwd())

    def value(name: str) -> tuple[Any, str | None]:
        option = next(option for option in OPTIONS if option.name == name)
        found: Any = (given or {}).get(name)
        source = f"--{name}"
        if found is None and (named := _in_environment(option)):
            found, source = named[0], f"environment {named[1]}"
        if found is None:
            found, source = ini.get(option.ini), f"ini {option.ini}"
        if found == "":
            raise UsageError(f"{name} from {source} is empty", hint="leave it out, or give it a value")
        try:
            return (None, None) if found is None else (option.parse(str(found)), source)
        except ValueError as error:
            raise UsageError(f"{name} from {source}: got {found!r}: {error}") from None

    root = repository_of(configured_in) or configured_in

    def folder(name: Literal["output", "baselines"]) -> Path:
        found, source = value(name)
        return placed(found or getattr(Settings, name), source or "default", root=root, configured_in=configured_in)

    if value("baselines")[1] is None:
        check_baselines_are_found(root, configured_in)
    output = folder("output")
    check_output(output, root)
    return Place(
        root=root,
        output=output,
        baselines=folder("baselines"),
        keep_runs=value("keep-runs")[0],
        keep_days=value("keep-days")[0],
        baselines_from=value("baselines")[1],
    )


def _in_environment(option: Option) -> tuple[str, str] | None:
    try:
        return option.in_environment()
    except ValueError as error:
        raise UsageError(f"--{option.name}: {error}", hint="unset one of them") from None


def configuration(here: Path) -> tuple[Path, Mapping[str, Any]]:
    """pytest's rootdir and the values of its configuration file, as `specbench run` in that folder would find them.

    Raises UsageError for a file that cannot be parsed.
    """
    begin = here / "benchmarks" if (here / "benchmarks").is_dir() else here
    folders = (begin, *begin.parents)
    for folder in folders:
        for name in FILES:
            values = _values(folder / name) if (folder / name).is_file() else None
            if values is not None:
                return folder, values
    for name in ("pyproject.toml", "setup.py"):
        for folder in folders:
            if (folder / name).is_file():
                return folder, {}
    return here, {}


def configured(folder: Path) -> str | None:
    """The file in this very folder that configures pytest; None: none. UsageError for one that cannot be parsed."""
    found = (name for name in FILES if (folder / name).is_file() and _values(folder / name) is not None)
    return next(found, None)


def _values(path: Path) -> Mapping[str, Any] | None:
    """What a file says to pytest; None when it says nothing."""
    try:
        if path.suffix == ".toml":
            content = tomllib.loads(path.read_text("utf-8"))
            if path.name != "pyproject.toml":
                return dict(content.get("pytest", {}))
            table = content.get("tool", {}).get("pytest")
            return dict(table.get("ini_options", table)) if table else None
        sections = IniConfig(str(path))
    except (ParseError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"{path}: {error}", expected="a configuration file that pytest can read") from None
    section = "tool:pytest" if path.suffix == ".cfg" else "pytest"
    if section in sections:
        return dict(sections[section].items())
    return {} if path.name in ("pytest.ini", ".pytest.ini") else None
