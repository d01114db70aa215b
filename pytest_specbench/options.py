"""How options become `Settings`: command line, environment, ini file (of the work tree or a trusted ref), default."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_specbench.core.settings import Settings
from pytest_specbench.option_table import OPTIONS, Option


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


def trusts_a_ref(config: pytest.Config) -> bool:
    """Whether this session is held against a git ref."""
    option = next(option for option in OPTIONS if option.field == "trusted_ref")
    # Help ends the reading of options where it stands, so that what follows it is not known as an option.
    written = (word.partition("=")[0] for word in config.invocation_params.args)
    return option.option in written or _value(option, config, _Configured(config)) is not None


def resumes(config: pytest.Config) -> str | None:
    """The run that this session is to finish, as it was asked for."""
    found = _value(next(option for option in OPTIONS if option.field == "resume"), config, _Configured(config))
    return None if found is None else str(found[0])


def read_settings(config: pytest.Config) -> Settings:
    """Settings of this invocation. Raises pytest.UsageError that names the place of a wrong value."""
    found = {option.field: _value(option, config, _Configured(config)) for option in OPTIONS}
    ref = found["trusted_ref"]
    if ref is not None:
        at_ref = _ConfiguredAt(config, ref[0])
        found = {option.field: _value(option, config, at_ref) for option in OPTIONS} | {"trusted_ref": ref}
    sources = {field: "default" if one is None else one[1] for field, one in found.items()}
    values = {field: one[0] for field, one in found.items() if one is not None}
    run_id, folder_name = run_identity(config)
    root = config.rootpath
    settings = Settings(root=root, run_id=run_id, argv=tuple(sys.argv), sources=sources, **values)
    output = root / settings.output
    baselines = root / settings.baselines
    _check_output(output, sources["output"])
    # As a text: a slash at the end says that it is a folder.
    record = None if settings.record is None else os.path.join(config.invocation_params.dir, settings.record)  # noqa: PTH118
    return replace(
        settings, output=output, baselines=baselines, record=record, run_folder=output / "runs" / folder_name
    )


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


class _Configured:
    """What pytest's configuration file says."""

    where = ""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def value(self, option: Option) -> Any:
        """The value of an option as pytest reads it; None where there is none."""
        try:
            return self._config.getini(option.ini)
        except (ValueError, pytest.UsageError) as error:
            raise pytest.UsageError(f"{option.option} from ini {option.ini}: {error}; expected true or false") from None


class _ConfiguredAt:
    """What pytest's configuration file says at a git ref, which the work tree's cannot change."""

    def __init__(self, config: pytest.Config, ref: str) -> None:
        from pytest_specbench.core.errors import SpecbenchError
        from pytest_specbench.store.trusted.ref import trusted_ref

        named = config.inipath if config.getoption("inifilename", None) else None
        try:
            self._values = trusted_ref(config.rootpath, ref).ini(config.rootpath, file=named).values
        except SpecbenchError as error:
            raise pytest.UsageError(f"--specbench-trusted-ref: {error}") from None
        self.where = f" at {ref}"

    def value(self, option: Option) -> Any:
        """The value of an option; None where there is none."""
        given = self._values.get(option.ini)
        if not option.flag or given is None or isinstance(given, bool):
            return given
        known = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        if str(given).lower() not in known:
            raise pytest.UsageError(
                f"{option.option} from ini {option.ini}{self.where}: got {given!r}; expected true or false"
            )
        return known[str(given).lower()]


def _value(option: Option, config: pytest.Config, configured: _Configured | _ConfiguredAt) -> tuple[Any, str] | None:
    given = config.getoption(option.option)
    if given is not None:
        return _parsed(option, given, "command line"), "command line"
    if option.environment and os.environ.get(option.environment):
        source = f"environment {option.environment}"
        return _parsed(option, os.environ[option.environment], source), source
    ini = configured.value(option)
    if ini is not None and ini != "":
        source = f"ini {option.ini}{configured.where}"
        overrides = config.getoption("override_ini") or ()
        if not configured.where and any(str(each).startswith(f"{option.ini}=") for each in overrides):
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

    given = _value(next(option for option in OPTIONS if option.field == "output"), config, _Configured(config))
    output = config.rootpath / (Settings.output if given is None else given[0])
    try:
        return find_run(output, str(resumes(config)), config.invocation_params.dir)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
