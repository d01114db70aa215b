"""The one table of options, and how they become `Settings`: command line, environment, ini file, default."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_specbench.core.settings import Settings

PORTABLE = "portable"  # as in core.baselines, which would bring pydantic into every pytest session
APPROVAL_MODES = ("minimal", "trusted", "full-access")


@dataclass(frozen=True)
class Option:
    """One setting: its flag `--specbench-NAME`, its ini name `specbench_NAME` and perhaps an environment variable."""

    name: str
    field: str
    help: str
    metavar: str = "VALUE"
    flag: bool = False
    choices: tuple[str, ...] = ()
    environment: str | None = None
    parse: Callable[[str], Any] = str

    @property
    def option(self) -> str:
        """The command-line flag."""
        return f"--specbench-{self.name}"

    @property
    def ini(self) -> str:
        """The ini name."""
        return f"specbench_{self.name.replace('-', '_')}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be 1 or more")
    return number


def _host_class(text: str) -> str:
    if not text.isprintable() or text == PORTABLE:
        raise ValueError(f"must be printable, and {PORTABLE!r} is reserved for baselines that fit every host")
    return text


def _amount(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError("must be a positive amount")
    return number


OPTIONS: tuple[Option, ...] = (
    Option(
        "dataset",
        "dataset",
        "dataset that the scenarios must belong to: NAME==VERSION or NAME@VERSION from a registry, or a folder "
        "(default: the dataset that each scenario names)",
        "REF",
        environment="SPEC_BENCH_DATASET",
    ),
    Option(
        "registry",
        "registry",
        "registry JSON (default: the nearest registry.json at or above the scenario)",
        "PATH_OR_URL",
    ),
    Option(
        "scenarios", "scenarios", "only these scenario ids", "A,B", environment="SPEC_BENCH_SCENARIOS", parse=_names
    ),
    Option(
        "agent",
        "agent",
        "who acts: a registered agent or module:Class (default: the scenario's)",
        "NAME",
        environment="SPEC_BENCH_AGENT",
    ),
    Option(
        "model",
        "model",
        "a LiteLLM model name or replay:CASSETTE (default: the scenario's)",
        "NAME",
        environment="SPEC_BENCH_MODEL",
    ),
    Option("record", "record", "record the model's replies into this cassette, or one each into FOLDER/", "CASSETTE"),
    Option("sandbox", "sandbox", "docker, local, or auto, which prefers docker and says what it chose", "NAME"),
    Option("trials", "trials", "trials per scenario (default: the scenario's)", "N", parse=_count),
    Option(
        "output",
        "output",
        "root folder of the artifacts (default: .terminalbench)",
        "PATH",
        environment="SPEC_BENCH_ARTIFACTS",
        parse=Path,
    ),
    Option("format", "format", "what is printed on stdout", choices=("table", "json")),
    Option(
        "approval-mode",
        "approval_mode",
        "what an agent may do unattended",
        choices=APPROVAL_MODES,
        environment="SPEC_BENCH_APPROVAL_MODE",
    ),
    Option("max-cost", "max_cost_usd", "cost cap in USD for all scenarios of this run together", "USD", parse=_amount),
    Option(
        "baselines",
        "baselines",
        "folder of the approved baselines (default: baselines)",
        "PATH",
        environment="SPEC_BENCH_BASELINES",
        parse=Path,
    ),
    Option(
        "host-parity",
        "host_parity",
        "a baseline of another host class blocks, or what does not depend on the host is compared",
        choices=("block", "portable"),
    ),
    Option(
        "require-baseline",
        "require_baseline",
        "which scenarios are not green without a baseline: never, known (those that ever had one), always",
        choices=("never", "known", "always"),
    ),
    Option("lock", "lock", "write specbench.lock for the selected scenarios, and run nothing", flag=True),
    Option("lock-check", "lock_check", "compare specbench.lock with what is observed, and run nothing", flag=True),
    Option(
        "host-class",
        "host_class",
        "declared class of this host, for example github-ubuntu-24.04-4core (default: derived)",
        "NAME",
        parse=_host_class,
    ),
    Option(
        "allow-unisolated-model",
        "allow_unisolated_model",
        "let a live model act in a sandbox that does not isolate",
        flag=True,
    ),
    Option("allow-dirty", "allow_dirty", "acknowledge an unclean repository", flag=True),
    Option("no-incident", "no_incident", "open no incident", flag=True),
    Option("keep", "keep", "leave the sandbox of each trial for a look; the summary says how to enter it", flag=True),
    Option(
        "resume",
        "resume",
        "finish a run that was cut short: its id or the first 8 or more characters of it, its folder, or latest",
        "RUN",
    ),
)
"""Every option of the plugin; the documentation's table is checked against this one."""


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


def resumes(config: pytest.Config) -> str | None:
    """The run that this session is to finish, as it was asked for."""
    found = _value(next(option for option in OPTIONS if option.field == "resume"), config)
    return None if found is None else str(found[0])


def read_settings(config: pytest.Config) -> Settings:
    """Settings of this invocation. Raises pytest.UsageError that names the place of a wrong value."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in OPTIONS:
        found = _value(option, config)
        if found is None:
            sources[option.field] = "default"
        else:
            values[option.field], sources[option.field] = found
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


def _check_output(output: Path, source: str) -> None:
    """Artifacts can be written there: whatever exists of the path is folders."""
    try:
        there = next(path for path in (output, *output.parents) if path.exists())
        usable = there.is_dir() and os.access(there, os.W_OK)
    except OSError as error:
        raise pytest.UsageError(f"--specbench-output from {source}: {error}") from None
    if not usable:
        raise pytest.UsageError(f"--specbench-output from {source}: {there} is no folder that can be written to")


def _value(option: Option, config: pytest.Config) -> tuple[Any, str] | None:
    given = config.getoption(option.option)
    if given is not None:
        return _parsed(option, given, "command line"), "command line"
    if option.environment and os.environ.get(option.environment):
        source = f"environment {option.environment}"
        return _parsed(option, os.environ[option.environment], source), source
    try:
        ini: Any = config.getini(option.ini)
    except (ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"{option.option} from ini {option.ini}: {error}; expected true or false") from None
    if ini is not None and ini != "":
        source = f"ini {option.ini}"
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
    output = config.rootpath / (Settings.output if given is None else given[0])
    try:
        return find_run(output, str(resumes(config)), config.invocation_params.dir)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
