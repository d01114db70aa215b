"""How options become `Settings`: command line, environment, ini file, default."""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_specbench.core.settings import Held, Settings, check_baselines_are_found, placed
from pytest_specbench.option_table import OPTIONS, Option, unknown_variables

if TYPE_CHECKING:
    from pytest_specbench.store.trusted.laid_out import LaidOut


def register(parser: pytest.Parser) -> None:
    """Declare every option and its ini name."""
    group = parser.getgroup("specbench", "scenarios for terminal agents (pytest-specbench)")
    for option in OPTIONS:
        if option.flag:
            group.addoption(option.option, action="store_true", default=None, help=option.help)
        elif option.choices:
            group.addoption(option.option, choices=option.choices, default=None, help=option.help)
        else:
            group.addoption(option.option, metavar=option.metavar, default=None, help=option.help)
        kind: Literal["bool", "string"] = "bool" if option.flag else "string"
        parser.addini(option.ini, option.help, type=kind, default=None)


def any_given(config: pytest.Config) -> bool:
    """Whether this session was started for scenarios: some option of ours stands on the command line."""
    return resumes(config) is not None or any(config.getoption(option.option) is not None for option in OPTIONS)


SETTINGS_ONLY = type("SettingsOnly", (), {})()
"""Registered as a plugin of a configuration that no session follows: a command reads its settings from it."""


def ref_asked_for(early: pytest.Config) -> str | None:
    """The git ref that a session is to be held against, asked before pytest has read all of its configuration; None
    where no session follows.
    """
    if early.pluginmanager.is_registered(SETTINGS_ONLY):
        return None
    given = vars(early.known_args_namespace)
    if all(given.get(_destination(option)) is None for option in OPTIONS):
        return None  # unit tests, which no variable moves elsewhere; a scenario among them is refused
    option = next(option for option in OPTIONS if option.field == "trusted_ref")
    found = _value(option, early, early.known_args_namespace)
    return None if found is None else str(found[0])


def runs_at_ref(config: pytest.Config) -> bool:
    """Whether this session runs where a trusted ref is laid out."""
    return _place(config).laid_out is not None


def resumes(config: pytest.Config) -> str | None:
    """The run that this session is to finish, as it was asked for."""
    found = _value(next(option for option in OPTIONS if option.field == "resume"), config)
    return None if found is None else str(found[0])


def read_settings(config: pytest.Config) -> Settings:
    """Settings of this invocation. Raises pytest.UsageError that names the place of a wrong value."""
    found = {option.field: _value(option, config) for option in OPTIONS}
    sources = {field: "default" if one is None else one[1] for field, one in found.items()}
    values = {field: one[0] for field, one in found.items() if one is not None}
    run_id, folder_name = run_identity(config)
    place = _place(config)
    if place.laid_out is None and config.pluginmanager.is_registered(SETTINGS_ONLY):
        values.pop("trusted_ref", None)  # a command that is held against a ref runs where that is laid out
    settings = Settings(
        root=place.root,
        work_tree=place.work_tree,
        held=place.held,
        run_id=run_id,
        argv=tuple(sys.argv) if place.laid_out is None else place.laid_out.argv,
        sources=sources,
        **values,
    )
    output = place.written(settings.output, sources["output"])
    baselines = placed(settings.baselines, sources["baselines"], root=place.root, configured_in=config.rootpath)
    if sources["baselines"] == "default":
        with _usage():
            check_baselines_are_found(place.root, config.rootpath)
    _check_output(output, sources["output"])
    # As a text: a slash at the end says that it is a folder.
    record = None if settings.record is None else os.path.join(place.here, settings.record)  # noqa: PTH118
    return replace(
        settings, output=output, baselines=baselines, record=record, run_folder=output / "runs" / folder_name
    )


@contextmanager
def _usage() -> Iterator[None]:
    """Errors of usage are shown as pytest shows its own."""
    try:
        yield
    except Exception as error:
        from pytest_specbench.core.errors import UsageError  # here, since every pytest session would pay for it

        if not isinstance(error, UsageError):
            raise
        raise pytest.UsageError(str(error)) from None


@dataclass(frozen=True)
class _Place:
    """Where a session runs."""

    root: Path
    work_tree: Path
    here: Path
    """The working directory of whoever asked for it."""
    configured_in: Path
    laid_out: LaidOut | None = None

    @property
    def held(self) -> Held | None:
        found = self.laid_out
        if found is None:
            return None
        return Held(found.ref, found.commit, tuple(self.root / path for path in found.added), found.altered)

    def written(self, value: Path, source: str) -> Path:
        """What is written lies in the work tree, also where the ref's configuration names it."""
        path = placed(value, source, root=self.root, configured_in=self.configured_in)
        return path if self.laid_out is None else self.laid_out.under_test(path)


def _place(config: pytest.Config) -> _Place:
    from pytest_specbench.core.git import repository_of

    here = config.invocation_params.dir
    if os.environ.get("_SPECBENCH_LAID_OUT"):
        from pytest_specbench.store.trusted.laid_out import laid_out

        found = laid_out(here)
        if found is not None and config.inipath is not None and not config.inipath.is_relative_to(found.folder):
            raise pytest.UsageError(f"under a trusted ref, pytest is not configured by {config.inipath}, outside of it")
        if found is not None:
            return _Place(found.folder, found.work_tree, found.here, config.rootpath, found)
    root = repository_of(config.rootpath) or config.rootpath
    return _Place(root, root, here, config.rootpath)


def warn_of_unknown_variables(config: pytest.Config) -> None:
    """Say which environment variables look like ours and are not: what they were meant to set is not set."""
    for said in unknown_variables():
        try:
            config.issue_config_time_warning(pytest.PytestConfigWarning(said), stacklevel=2)
        except pytest.PytestConfigWarning:  # -W error
            raise pytest.UsageError(said) from None


def check_permissions(config: pytest.Config, settings: Settings) -> None:
    """Raise pytest.UsageError when this user may not ask for these settings. A worker's controller has done so."""
    none = settings.incidents == "none" and settings.sources["incidents"].startswith("command line")
    if hasattr(config, "workerinput") or not (settings.no_incident or none):
        return
    from pytest_specbench.core.errors import UsageError
    from pytest_specbench.incidents.permission import check_permission

    try:
        check_permission(settings)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def _check_output(output: Path, source: str) -> None:
    """Artifacts can be written there: whatever exists of the path is folders."""
    try:
        there = next(path for path in (output, *output.parents) if path.exists())
        usable = there.is_dir() and os.access(there, os.W_OK)
    except OSError as error:
        raise pytest.UsageError(f"--specbench-output from {source}: {error}") from None
    if not usable:
        raise pytest.UsageError(f"--specbench-output from {source}: {there} is no folder that can be written to")


def _destination(option: Option) -> str:
    return option.option.removeprefix("--").replace("-", "_")


def _value(option: Option, config: pytest.Config, given_by: argparse.Namespace | None = None) -> tuple[Any, str] | None:
    """The value of an option and where it comes from; `given_by` holds the command line's before pytest has it."""
    given = getattr(config.option if given_by is None else given_by, _destination(option))
    if given is not None:
        return _parsed(option, given, "command line"), "command line"
    try:
        found = option.in_environment()
    except ValueError as error:
        raise pytest.UsageError(f"{option.option}: {error}; unset one of them") from None
    if found is not None:
        source = f"environment {found[1]}"
        return _parsed(option, found[0], source), source
    try:
        ini = config.getini(option.ini)
    except (TypeError, ValueError, pytest.UsageError) as error:
        # In [tool.pytest] a value has a type of its own, and all of ours but the flags are texts.
        form = "true or false" if option.flag else 'a text in quotation marks, such as "2"'
        raise pytest.UsageError(f"{option.option} from ini {option.ini}: {error}; expected {form}") from None
    if ini is not None:
        source = f"ini {option.ini}"
        overrides = config.getoption("override_ini") or ()
        if any(str(each).startswith(f"{option.ini}=") for each in overrides):
            source = f"command line, -o {option.ini}"
        return _parsed(option, ini, source), source
    return None


def _parsed(option: Option, given: str | bool, source: str) -> Any:
    if isinstance(given, bool):
        return given
    if not given:
        raise pytest.UsageError(f"{option.option} from {source} is empty; leave it out, or give it a value")
    if option.choices and given not in option.choices:
        from difflib import get_close_matches  # here, since every pytest session would pay for it

        near = get_close_matches(given, option.choices, n=1)
        raise pytest.UsageError(
            f"{option.option} from {source}: got {given!r}, expected one of {', '.join(option.choices)}"
            + (f"; the nearest is {near[0]!r}" if near else "")
        )
    try:
        return option.parse(given)
    except ValueError as error:
        raise pytest.UsageError(f"{option.option} from {source}: got {given!r}: {error}") from None


RUN_KEY = pytest.StashKey[tuple[str, str]]()


def run_identity(config: pytest.Config) -> tuple[str, str]:
    """UUID and folder name of this invocation; an xdist worker takes them from its controller."""
    if RUN_KEY not in config.stash:
        given: Mapping[str, Any] = getattr(config, "workerinput", {})
        if "specbench_run" in given:
            run_id, folder_name = given["specbench_run"]
        elif resumes(config) is not None:
            run_id, folder_name = _resumed(config)
        else:
            run_id = str(uuid.uuid4())
            folder_name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{run_id[:8]}"
        config.stash[RUN_KEY] = (run_id, folder_name)
    return config.stash[RUN_KEY]


def _resumed(config: pytest.Config) -> tuple[str, str]:
    """UUID and folder name of the run that is resumed. Raises pytest.UsageError when there is no such run."""
    from pytest_specbench.core.errors import UsageError
    from pytest_specbench.recording.run_start import find_run

    given = _value(next(option for option in OPTIONS if option.field == "output"), config)
    place = _place(config)
    output = place.written(*(given or (Settings.output, "default")))
    try:
        return find_run(output, str(resumes(config)), place.here)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
