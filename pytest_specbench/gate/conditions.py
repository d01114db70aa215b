"""Conditions of a trial. What does not hold blocks the benchmark run, with the command that mends it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.policy.modes import ApprovalMode
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.repository import unclean
from pytest_specbench.sandboxes.base import SandboxBackend
from pytest_specbench.sandboxes.keeping import KeepingBackend
from pytest_specbench.scenarios.datasets import Dataset, contains, resolve_dataset
from pytest_specbench.scenarios.loader import LoadedScenario


def check_clean(loaded: LoadedScenario, settings: Settings) -> bool:
    """Whether what runs will be found again: the repository holds it as it is. BlockedError, unless acknowledged."""
    found = unclean(loaded.folder, ignore=settings.output, also=(settings.baselines,))
    if found and not settings.allow_dirty:
        raise BlockedError(
            f"the repository is not clean: {'; '.join(found[:5])}" + (" ..." if len(found) > 5 else ""),
            cause=Cause.UNCLEAN_REPOSITORY,
            expected="a git repository without tracked changes, and without untracked files under the benchmarks",
            hint="commit or stash (git init, where there is no repository); or acknowledge it: --specbench-allow-dirty",
        )
    return not found


def check_dataset(loaded: LoadedScenario, settings: Settings) -> Dataset:
    """The dataset that the scenario runs under: the one asked for, else the one it names. It must hold the scenario."""
    scenario = loaded.scenario
    reference = settings.dataset or scenario.registry_version
    dataset = resolve_dataset(reference, registry=settings.registry, near=loaded.folder)
    if not contains(dataset, loaded):
        raise BlockedError(
            f"the dataset {reference!r} ({dataset.source}) does not hold the scenario {scenario.scenario_id!r}",
            cause=Cause.DATASET_MISSING,
            where=loaded.where("registry_version"),
            expected="a dataset whose folder holds the file, and whose task_id_subset, where it has one, names the id",
            hint=f"add {scenario.scenario_id!r} to task_id_subset in {dataset.source}, or name another dataset",
        )
    if dataset.version is not None:
        own = resolve_dataset(scenario.registry_version, registry=settings.registry, near=loaded.folder)
        if (own.name, own.version) != (dataset.name, dataset.version):
            raise BlockedError(
                f"the scenario belongs to {own.name}=={own.version}, not to {dataset.name}=={dataset.version}",
                cause=Cause.PARITY,
                where=loaded.where("registry_version"),
                hint=f"--specbench-dataset={own.name}=={own.version}, or change registry_version in the scenario",
            )
    return dataset


def check_mode(loaded: LoadedScenario, settings: Settings, *, acts_freely: bool) -> None:
    """The mode is never raised by a scenario: what it needs must have been granted."""
    needed, granted = ApprovalMode(loaded.scenario.approval_mode), ApprovalMode(settings.approval_mode)
    why = "the scenario asks for it"
    if acts_freely and needed is not ApprovalMode.FULL_ACCESS:
        needed, why = ApprovalMode.FULL_ACCESS, "the commands of this agent cannot be policed one by one"
    if not granted.includes(needed):
        raise BlockedError(
            f"approval mode {granted.value!r} (from {settings.sources['approval_mode']}) is less than "
            f"{needed.value!r}: {why}",
            cause=Cause.APPROVAL_MODE,
            where=loaded.where("approval_mode"),
            hint=f"--specbench-approval-mode={needed.value}, or specbench_approval_mode = {needed.value} in the ini",
        )


def check_deny(loaded: LoadedScenario, *, acts_freely: bool) -> None:
    """Collection asks the agent's class; an agent may still act freely by its options."""
    if acts_freely and loaded.scenario.allow.deny:
        raise BlockedError(
            "the agent is not held to the deny rules: with these options, its commands are not policed one by one",
            cause=Cause.CONFIGURATION,
            where=loaded.where("allow", "deny"),
            expected="no deny rules here, or an agent that says `acts_freely = False`",
            hint="take the rules out, and have the sandbox keep out of reach what must be",
        )


def check_host(loaded: LoadedScenario) -> None:
    """The host must have the CPUs that the scenario asks for."""
    wanted, there = loaded.scenario.runner.cpus, os.cpu_count() or 1
    if wanted > there:
        raise BlockedError(
            f"the scenario needs {wanted:g} CPUs, this host has {there}",
            cause=Cause.HOST_TOO_SMALL,
            where=loaded.where("runner", "cpus"),
            hint="run it on a larger host: fewer CPUs than the scenario states would measure something else",
        )


def check_isolation(loaded: LoadedScenario, settings: Settings, backend: SandboxBackend, *, trusted: bool) -> None:
    """The sandbox must isolate unless what the agent does is known beforehand."""
    if not backend.isolates and not trusted and not settings.allow_unisolated_model:
        raise BlockedError(
            f"the sandbox {backend.name!r} does not isolate, and what this agent will do is not known beforehand",
            cause=Cause.NOT_ISOLATED,
            where=loaded.where("agent"),
            hint="--specbench-sandbox=docker; or, on a machine that may be harmed, --specbench-allow-unisolated-model",
        )


def check_keeping(backend: SandboxBackend, settings: Settings) -> None:
    """Who asks for sandboxes to be kept must not find out afterwards that they are gone."""
    if settings.keep and not isinstance(backend, KeepingBackend):
        raise BlockedError(
            f"the sandbox {backend.name!r} cannot be kept for a look",
            cause=Cause.CONFIGURATION,
            expected="a backend with `kept` and `remove_kept`, and sandboxes with `keep`, as docker and local are",
            hint=f"leave out --specbench-keep (from {settings.sources['keep']}), or use another sandbox",
        )


def secrets_of(loaded: LoadedScenario) -> Mapping[str, str]:
    """The values of the host's variables that the scenario names; each must be there."""
    missing = [name for name in loaded.scenario.secrets if not os.environ.get(name)]
    if missing:
        raise BlockedError(
            f"the environment has no {', '.join(missing)}",
            cause=Cause.KEY_MISSING,
            where=loaded.where("secrets"),
            hint=f"export {missing[0]}=...",
        )
    return {name: os.environ[name] for name in loaded.scenario.secrets}


def trials_of(loaded: LoadedScenario, settings: Settings) -> int:
    """How many trials to run. A criterion that is met by fewer than it names would be another one."""
    wanted = loaded.scenario.trials_wanted
    if loaded.scenario.success is not None and (settings.trials or wanted) < wanted:
        raise BlockedError(
            f"{settings.trials} trials were asked for, and the scenario is judged by the rate over {wanted}",
            cause=Cause.CONFIGURATION,
            where=loaded.where("success", "trials"),
            hint=f"leave --specbench-trials out, or give {wanted} or more",
        )
    return settings.trials or wanted
