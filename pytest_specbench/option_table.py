"""The one table of options: their names, forms and meanings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

PORTABLE = "portable"  # as in core.baselines, which would bring pydantic into every pytest session
APPROVAL_MODES = ("minimal", "trusted", "full-access")
PREFIX, OTHER_PREFIX = "SPECBENCH_", "SPEC_BENCH_"
"""What the environment variables begin with, and what they may begin with instead."""
OTHER_VARIABLES = (
    *("SPECBENCH_RUNNER_BASE", "SPECBENCH_WEBHOOK_URL", "SPECBENCH_WEBHOOK_SECRET"),
    *("SPECBENCH_REQUIRE_ENGINE", "SPECBENCH_INSTRUCTION"),
)
"""Variables that belong to no option."""


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
    """The variable; one that begins with `SPEC_BENCH_` instead of `SPECBENCH_` is another name for it."""
    parse: Callable[[str], Any] = str
    purpose: Literal["run", "lock", "approve", "keep"] = "run"
    """What kind of session it belongs to; `specbench run` has those of its own kind."""

    @property
    def option(self) -> str:
        """The command-line flag."""
        return f"--specbench-{self.name}"

    @property
    def ini(self) -> str:
        """The ini name."""
        return f"specbench_{self.name.replace('-', '_')}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of its environment variable, the one to use first."""
        name = self.environment
        return () if name is None else (name, OTHER_PREFIX + name.removeprefix(PREFIX))

    def in_environment(self) -> tuple[str, str] | None:
        """Value and name of its environment variable; None where it is not set.

        Raises ValueError where both of its names are set, and say different things.
        """
        found = [(os.environ[name], name) for name in self.variables if name in os.environ]
        if len({value for value, _ in found}) > 1:
            raise ValueError(f"{' and '.join(name for _, name in found)} are both set, and differ")
        return found[0] if found else None


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError("must be a whole number, 1 or more")
    return number


def _host_class(text: str) -> str:
    if not text.isprintable() or text == PORTABLE:
        raise ValueError(f"must be printable, and {PORTABLE!r} is reserved for baselines that fit every host")
    return text


def _amount(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise ValueError("must be a positive amount")
    return number


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a day, such as 2027-12-31") from None


def _channels(text: str) -> str:
    from pytest_specbench.incidents.specs import parse_channels

    return text if parse_channels(text) else "none"


OPTIONS: tuple[Option, ...] = (
    Option(
        "dataset",
        "dataset",
        "dataset that the scenarios must belong to: NAME==VERSION or NAME@VERSION from a registry, or a folder "
        "(default: the dataset that each scenario names)",
        "REF",
        environment="SPECBENCH_DATASET",
    ),
    Option(
        "registry",
        "registry",
        "registry JSON (default: the nearest registry.json at or above the scenario)",
        "PATH_OR_URL",
    ),
    Option("scenarios", "scenarios", "only these scenario ids", "A,B", environment="SPECBENCH_SCENARIOS", parse=_names),
    Option(
        "agent",
        "agent",
        "who acts: a registered agent or module:Class (default: the scenario's)",
        "NAME",
        environment="SPECBENCH_AGENT",
    ),
    Option(
        "model",
        "model",
        "a LiteLLM model name or replay:CASSETTE (default: the scenario's)",
        "NAME",
        environment="SPECBENCH_MODEL",
    ),
    Option("record", "record", "record the model's replies into this cassette, or one each into FOLDER/", "CASSETTE"),
    Option("sandbox", "sandbox", "docker, local, or auto, which prefers docker and says what it chose", "NAME"),
    Option("trials", "trials", "trials per scenario (default: the scenario's)", "N", parse=_count),
    Option(
        "output",
        "output",
        "root folder of the artifacts (default: .terminalbench)",
        "PATH",
        environment="SPECBENCH_ARTIFACTS",
        parse=Path,
    ),
    Option("format", "format", "what is printed on stdout", choices=("table", "json")),
    Option(
        "approval-mode",
        "approval_mode",
        "what an agent may do unattended",
        choices=APPROVAL_MODES,
        environment="SPECBENCH_APPROVAL_MODE",
    ),
    Option("max-cost", "max_cost_usd", "cost cap in USD for all scenarios of this run together", "USD", parse=_amount),
    Option(
        "baselines",
        "baselines",
        "folder of the approved baselines (default: baselines)",
        "PATH",
        environment="SPECBENCH_BASELINES",
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
    Option(
        "lock", "lock", "write specbench.lock for the selected scenarios, and run nothing", flag=True, purpose="lock"
    ),
    Option(
        "lock-check",
        "lock_check",
        "compare specbench.lock with what is observed, and run nothing",
        flag=True,
        purpose="lock",
    ),
    Option(
        "signing",
        "signing",
        "whether approvals are signed: off, optional, or required, where only what a maintainer signed counts",
        choices=("off", "optional", "required"),
    ),
    Option(
        "trusted-ref",
        "trusted_ref",
        "git ref that judges, for example the target branch of a pull request: scenarios, configuration, lock, "
        "baselines and maintainers are its own, laid out in a private folder; only what is under test comes from the "
        "work tree",
        "REF",
        environment="SPECBENCH_TRUSTED_REF",
    ),
    Option("four-eyes", "four_eyes", "who approves a run is not the author of its commit", flag=True),
    Option(
        "signing-key",
        "signing_key",
        "SSH key to sign approvals with (default: git's user.signingkey, where gpg.format is ssh)",
        "PATH",
        environment="SPECBENCH_SIGNING_KEY",
        purpose="approve",
    ),
    Option(
        "approve",
        "approve",
        "make a recorded run the baseline of the selected scenarios, and run nothing",
        flag=True,
        purpose="approve",
    ),
    Option(
        "run",
        "run",
        "run to approve: its id, its folder or an archive of it, or latest (default)",
        "RUN",
        purpose="approve",
    ),
    Option(
        "notes", "notes", "why it is approved; kept in the record and in the audit trail", "TEXT", purpose="approve"
    ),
    Option("rotation", "rotation", "rotation that the maintainer acts for, of several", "NAME", purpose="approve"),
    Option(
        "accept-regression",
        "accept_regression",
        "let an acknowledged regression become the baseline, for this reason",
        "REASON",
        purpose="approve",
    ),
    Option(
        "portable",
        "portable",
        "approve what does not depend on the host, for every host class",
        flag=True,
        purpose="approve",
    ),
    Option(
        "expires",
        "expires_on",
        "first day on which the baseline does not count any more",
        "YYYY-MM-DD",
        parse=_day,
        purpose="approve",
    ),
    Option("dry-run", "dry_run", "show what an approval would do, and write nothing", flag=True, purpose="approve"),
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
    Option("keep-runs", "keep_runs", "how many runs `specbench gc --runs` keeps", "N", parse=_count, purpose="keep"),
    Option(
        "keep-days",
        "keep_days",
        "for how many days `specbench gc --runs` keeps runs",
        "DAYS",
        parse=_amount,
        purpose="keep",
    ),
    Option("no-incident", "no_incident", "open no incident; for maintainers", flag=True),
    Option(
        "incidents",
        "incidents",
        "who is told of regressions: folder[:PATH], github[:OWNER/REPO], gitlab[:PROJECT], webhook[:URL], or none "
        "(default: folder)",
        "A,B",
        parse=_channels,
    ),
    Option(
        "incident-branches",
        "incident_branches",
        "branches from which incidents are opened, by names or globs (default: the default branch)",
        "A,B",
        parse=_names,
    ),
    Option("keep", "keep", "leave the sandbox of each trial for a look; the summary says how to enter it", flag=True),
    Option(
        "resume",
        "resume",
        "finish a run that was cut short: its id or the first 8 or more characters of it, its folder, or latest",
        "RUN",
    ),
)
"""Every option of the plugin; the documentation's table is checked against this one."""


def unknown_variables() -> list[str]:
    """What to say of each environment variable that looks like one of ours, and is none: it changes nothing."""
    known = {*OTHER_VARIABLES, *(name for option in OPTIONS for name in option.variables)}
    unknown = sorted(name for name in os.environ if name.startswith((PREFIX, OTHER_PREFIX)) and name not in known)
    return [_said_of(name, known) for name in unknown]


def _said_of(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # here, since every pytest session would pay for it

    near = get_close_matches(name, sorted(known), n=1)
    return f"the environment variable {name} is unknown, and changes nothing" + (
        f"; the nearest is {near[0]}" if near else "; docs/options.md lists those that are read"
    )
