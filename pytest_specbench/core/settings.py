"""What an invocation was asked to do, read once from pytest's configuration and frozen."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

RUNNER_IMAGE = "specbench-runner:1"
"""What `specbench runner build` makes, and what a scenario runs in that names no image."""


@dataclass(frozen=True)
class Held:
    """The trusted ref that a work tree is held against, and what that has otherwise."""

    ref: str
    """The ref as it was given."""
    commit: str
    """The commit that it stands for."""
    added: tuple[Path, ...] = ()
    """Scenario files, absolute, that the ref has not: they run after the others, with nothing of the host."""
    altered: tuple[str, ...] = ()
    """What of the work tree does not count, a sentence each."""


@dataclass(frozen=True)
class Settings:
    """Every setting below pytest. `sources` says for each field where its value came from."""

    root: Path
    """The project: top of the repository that holds pytest's rootdir, else that rootdir. Under a trusted ref it is
    where the ref is laid out.
    """
    work_tree: Path
    """What is under test, and where artifacts go; `root`, but under a trusted ref. Paths in the report are relative to
    it.
    """
    held: Held | None = None
    """What the work tree is held against; None where no ref is trusted."""
    dataset: str | None = None
    """`NAME==VERSION`, `NAME@VERSION`, `NAME` or a folder; None: each scenario's own `registry_version`."""
    registry: str | None = None
    """Path or URL of the registry; None: the nearest `registry.json` at or above the scenario."""
    scenarios: tuple[str, ...] = ()
    """Only these scenario ids; empty: all."""
    agent: str | None = None
    """Overrides the scenario's agent: registered name or `module:Class`."""
    model: str | None = None
    """Overrides the scenario's model."""
    record: str | None = None
    """Cassette to write from the model's replies, absolute; a folder where it ends with a slash."""
    sandbox: str = "docker"
    """`docker`, `local`, `auto` or a third party's name."""
    sandbox_reason: str = ""
    """Why `auto` became what it became; empty when it was asked for by name."""
    trials: int | None = None
    """Overrides the scenario's number of trials."""
    output: Path = Path(".terminalbench")
    """Root of the artifacts, absolute."""
    format: str = "table"
    """`table` or `json`: what is printed on stdout."""
    approval_mode: str = "minimal"
    """What an agent may do unattended: `minimal`, `trusted` or `full-access`."""
    max_cost_usd: float | None = None
    """Cost cap for the whole session over all scenarios; None: no cap."""
    baselines: Path = Path("baselines")
    """Root of the baseline records, absolute."""
    host_parity: str = "block"
    """`block` or `portable`: what becomes of a baseline of another host class."""
    require_baseline: str = "known"
    """`never`, `known` or `always`: which scenarios are not green without a baseline to compare with."""
    lock: bool = False
    """Write the lock file and run nothing."""
    lock_check: bool = False
    """Compare the lock file with what is observed and run nothing."""
    host_class: str | None = None
    """Declared class of this host; None: derived from what was observed."""
    allow_unisolated_model: bool = False
    """A live model may act in a sandbox that does not isolate."""
    allow_dirty: bool = False
    """An unclean repository is acknowledged."""
    no_incident: bool = False
    """Open no incident."""
    incidents: str = "folder"
    """Channels of incidents, as a comma list; `none`: nobody is told."""
    incident_branches: tuple[str, ...] = ()
    """Names or globs of the branches from which incidents are opened; empty: the default branch."""
    signing: str = "optional"
    """`off`, `optional` or `required`: whether approvals are signed, and whether only signed ones count."""
    trusted_ref: str | None = None
    """Git ref from which policy, maintainers, signers, approval mode and baselines are read; None: the work tree."""
    four_eyes: bool = False
    """Who approves a run is not the author of its commit."""
    signing_key: str | None = None
    """SSH key to sign with; None: git's."""
    approve: bool = False
    """Make a recorded run the baseline and run nothing."""
    run: str = "latest"
    """The run that is meant: id, folder, archive or `latest`."""
    notes: str | None = None
    """Why it is approved."""
    rotation: str | None = None
    """The rotation that the maintainer acts for; None: their only one."""
    accept_regression: str | None = None
    """Why an acknowledged regression may become the baseline; None: it may not."""
    portable: bool = False
    """Approve host-independent metrics only, for every host class."""
    expires_on: date | None = None
    """First day on which the new baseline does not count any more."""
    dry_run: bool = False
    """Show what an approval would do, and write nothing."""
    keep_runs: int | None = None
    """How many runs `gc --runs` keeps; None: as many as it was told."""
    keep_days: float | None = None
    """For how many days `gc --runs` keeps runs; None: for as many as it was told."""
    keep: bool = False
    """Leave the sandbox of each trial for a look."""
    resume: str | None = None
    """The run that is finished by this invocation, as it was asked for; None: a new run."""
    run_id: str = ""
    """UUID of the invocation."""
    run_folder: Path = Path()
    """Artifact folder of the invocation, absolute; made when the first artifact is written."""
    argv: tuple[str, ...] = ()
    """The command line, for the record."""
    sources: dict[str, str] = field(default_factory=dict)
    """Field name -> `command line`, `environment NAME`, `ini NAME` or `default`."""

    def data_of(self, scenario: Path) -> Path | None:
        """The folder that holds what a scenario file names, where that is not its own."""
        return self.under_test(scenario.parent) if self.adds(scenario) else None

    def called(self, path: Path) -> str:
        """What to call a file of the project in a message: where a trusted ref is laid out, nobody will find it."""
        if self.held is None or not path.is_relative_to(self.root):
            return str(path)
        name = path.relative_to(self.root).as_posix()
        return name if self.adds(path) else f"{self.held.ref}:{name}"

    def adds(self, scenario: Path) -> bool:
        """Whether the work tree adds a scenario file to what the trusted ref has."""
        return self.held is not None and scenario in self.held.added

    def under_test(self, path: Path) -> Path:
        """Where a path of the project lies in the work tree; every other path as it is."""
        return self.work_tree / path.relative_to(self.root) if path.is_relative_to(self.root) else path


def placed(value: Path, source: str, *, root: Path, configured_in: Path) -> Path:
    """A path as it is meant: relative to the configuration file that names it, else to the project's `root`."""
    return (configured_in if source.startswith("ini ") else root) / value


def check_baselines_are_found(root: Path, configured_in: Path) -> None:
    """Raises UsageError when baselines lie at or above pytest's rootdir `configured_in`, below the project's `root`,
    and nobody named their folder: a run that does not look there would find none, and be green.
    """
    for folder in (configured_in, *configured_in.parents):
        if folder == root or not folder.is_relative_to(root):
            return
        there = folder / Settings.baselines
        if (there / "audit").is_dir() or (there / "maintainers.yaml").is_file():
            from pytest_specbench.core.errors import UsageError  # here, since every pytest session would pay for it

            raise UsageError(
                f"there are baselines in {there}, and the project's are looked for in {root / Settings.baselines}",
                where=str(configured_in),
                expected="baselines at the top of the repository, or a configuration that names their folder",
                hint=f"specbench_baselines = {os.path.relpath(there, configured_in)} in pytest's configuration there",
            )
