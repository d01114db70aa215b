"""Conditions of a trial. What does not hold blocks the benchmark run, with the command that mends it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_specbench.agents import AGENTS
from pytest_specbench.core.errors import BlockedError, DatasetError
from pytest_specbench.core.policy.modes import ApprovalMode
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.repository import unclean
from pytest_specbench.sandboxes.base import SandboxBackend
from pytest_specbench.sandboxes.keeping import KeepingBackend
from pytest_specbench.scenarios.datasets import Dataset, contains, resolve_dataset
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.scenarios.model import FilesFixture, Scenario
from pytest_specbench.verifiers import CHECKS

REPLAY = "replay:"
"""What the name of a model begins with that is read from a cassette."""


def check_clean(loaded: LoadedScenario, settings: Settings) -> bool:
    """Whether what runs will be found again: the repository holds it as it is. BlockedError, unless acknowledged."""
    found = unclean(
        settings.under_test(loaded.folder),
        ignore=settings.output,
        also=(settings.under_test(settings.baselines),),
        named=[settings.under_test(loaded.folder) / path for path in named_files(loaded.scenario)],
    )
    if found and not settings.allow_dirty:
        raise BlockedError(
            f"the repository is not clean: {'; '.join(found[:5])}" + (" ..." if len(found) > 5 else ""),
            cause=Cause.UNCLEAN_REPOSITORY,
            expected="a git repository without tracked changes, and without untracked files under the benchmarks",
            hint="commit or stash (git init, where there is no repository); or acknowledge it: --specbench-allow-dirty",
        )
    return not found


def named_files(scenario: Scenario) -> Iterator[str]:
    """What a scenario names of what lies with it, relative to its folder."""
    yield from (one.source for one in scenario.fixtures.values() if isinstance(one, FilesFixture))
    if scenario.verification is not None and scenario.verification.files is not None:
        yield scenario.verification.files
    if scenario.solution is not None:
        yield scenario.solution
    if scenario.model is not None and scenario.model.name.startswith(REPLAY):
        yield scenario.model.name.removeprefix(REPLAY)


def check_added(loaded: LoadedScenario, settings: Settings, *, agent: str, model: str | None) -> None:
    """What a change adds to a trusted ref gets nothing of the host: no variable, key, network or code that it names. It
    is asked before anything that it names is imported. BlockedError(APPROVAL_NEEDED).
    """
    if not settings.adds(loaded.path):
        return
    scenario, known = loaded.scenario, {None, *CHECKS.names()}
    opened = [(name, value) for name, value in scenario.runner.network.model_dump().items() if value != "none"]
    unknown = [artifact.check for artifact in scenario.success_artifacts if artifact.check not in known]
    asks: list[tuple[str, tuple[str, ...]]] = [
        *((f"the host's variable {name}", ("secrets",)) for name in scenario.secrets),
        *((f"the network {value!r} in the phase {name}", ("runner", "network")) for name, value in opened),
        *((f"the check {name!r}, which names code", ("success_artifacts",)) for name in unknown),
    ]
    if agent not in AGENTS.names() and settings.agent is None:
        asks.append((f"the agent {agent!r}, which names code", ("agent", "name")))
    if model is not None and not model.startswith(REPLAY):
        asks.append((f"the live model {model!r}", ("model",)))
    if asks:
        what, where = asks[0]
        raise BlockedError(
            f"the change adds the scenario, and it asks for {what}",
            cause=Cause.APPROVAL_NEEDED,
            where=loaded.where(*where),
            expected=f"a scenario that is at {settings.trusted_ref}: what a change adds gets nothing of the host",
            hint="merge it as a change of its own, and what needs it after that",
        )


def check_tested(loaded: LoadedScenario, settings: Settings, agent: str) -> None:
    """An agent that is under test is not one that lies in the project, where a trusted ref is laid out: that is the
    ref's, and nothing of the change would be tested. BlockedError(CONFIGURATION).
    """
    if settings.held is None or "agent" not in loaded.scenario.subject:
        return
    module = sys.modules.get(AGENTS.load(agent).__module__)
    file = getattr(module, "__file__", None)
    if file is not None and Path(file).resolve().is_relative_to(settings.root):
        raise BlockedError(
            f"the agent {agent!r} is under test, and its code is that of {settings.held.ref}: nothing of the change "
            "would be tested",
            cause=Cause.CONFIGURATION,
            where=loaded.where("agent", "name"),
            expected="an agent that runs inside the sandbox, such as `command`, with its program in a fixture under "
            "test or in the image",
            hint="run it without a trusted ref, on a machine that may run code of the change",
        )


def check_dataset(loaded: LoadedScenario, settings: Settings) -> Dataset:
    """The dataset that the scenario runs under: the one asked for, else the one it names. It must hold the scenario."""
    scenario = loaded.scenario
    reference = settings.dataset or scenario.registry_version
    try:
        dataset = resolve_dataset(reference, registry=settings.registry, near=loaded.path.parent)
    except DatasetError as error:
        if not settings.adds(loaded.path):
            raise
        raise BlockedError(
            f"the change adds the scenario, and no registry at {settings.trusted_ref} has its dataset {reference!r}",
            cause=Cause.DATASET_MISSING,
            where=loaded.where("registry_version"),
            expected="a dataset that is there: a change does not say what belongs to which",
            hint="merge the registry's row as a change of its own",
        ) from error
    if not contains(dataset, loaded):
        raise BlockedError(
            f"the dataset {reference!r} ({dataset.source}) does not hold the scenario {scenario.scenario_id!r}",
            cause=Cause.DATASET_MISSING,
            where=loaded.where("registry_version"),
            expected="a dataset whose folder holds the file, and whose task_id_subset, where it has one, names the id",
            hint=f"add {scenario.scenario_id!r} to task_id_subset in {dataset.source}, or name another dataset",
        )
    if dataset.version is not None:
        own = resolve_dataset(scenario.registry_version, registry=settings.registry, near=loaded.path.parent)
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
    if not backend.isolates and settings.adds(loaded.path):
        raise BlockedError(
            f"the sandbox {backend.name!r} does not isolate, and nobody has seen yet what the scenario does",
            cause=Cause.NOT_ISOLATED,
            where=str(loaded.path.relative_to(settings.root)),
            expected=f"a scenario that is at {settings.trusted_ref}, or a sandbox that isolates",
            hint="--specbench-sandbox=docker; or merge it as a change of its own",
        )
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
