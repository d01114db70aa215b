"""What must hold before a trial runs. Whatever does not blocks the benchmark run, with the command that mends it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_specbench.agents import AGENTS
from pytest_specbench.agents.base import Agent, AgentTask
from pytest_specbench.agents.models import SpendLedger
from pytest_specbench.agents.orchestrator.adapter import Chargeable
from pytest_specbench.agents.shell import CommandPolicy
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.fingerprint import fingerprint
from pytest_specbench.core.policy import ApprovalMode
from pytest_specbench.core.records import AgentRecord, Fingerprint, ImageIdentity, Scalar
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause
from pytest_specbench.facts import cassette_fact, facts_of, host_facts
from pytest_specbench.recording.repository import git_commit
from pytest_specbench.sandboxes import SANDBOXES
from pytest_specbench.sandboxes.base import SandboxBackend, SandboxSpec
from pytest_specbench.scenarios.datasets import Dataset, contains, resolve_dataset
from pytest_specbench.scenarios.fixtures import materialise
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.trial import Progress, TrialPlan
from pytest_specbench.trial_record import Invocation

REPLAY = "replay:"


@dataclass(frozen=True)
class Prepared:
    """A scenario that may run: the plan of its trials, and what the record says about it."""

    plan: TrialPlan
    dataset: Dataset
    image: ImageIdentity | None
    fingerprint: Fingerprint
    trials: int


def prepare(loaded: LoadedScenario, settings: Settings, progress: Progress) -> Prepared:
    """Check everything that must hold, in the order in which a user would want to hear of it.

    Raises BlockedError, DatasetError or UsageError with the next command.
    """
    scenario = loaded.scenario
    dataset = check_dataset(loaded, settings)
    name, options = _agent_asked_for(loaded, settings)
    model = model_for(loaded, settings)
    agent_class = AGENTS.load(name)
    _check_mode(loaded, settings, acts_freely=agent_class.acts_freely)
    _check_host(loaded)
    backend: SandboxBackend = SANDBOXES.load(settings.sandbox)()
    _check_sandbox(loaded, settings, backend, trusted=agent_class.trusted or (model or "").startswith(REPLAY))
    image = backend.identify(scenario.runner.image)
    secrets = _secrets(loaded)
    fixtures = tuple(materialise(loaded, fixture) for fixture in scenario.prerequisites)
    task = _task(loaded, settings, model)

    def make_agent() -> Agent:
        agent: Agent = agent_class(**options)
        if settings.max_cost_usd is not None and isinstance(agent, Chargeable):
            agent.charge_to(SpendLedger(settings.run_folder / "spend.jsonl", settings.max_cost_usd))
        return agent

    agent = make_agent()
    record = AgentRecord(
        name=name, version=str(agent.version), model=_display(model, loaded), configuration=dict(agent.configuration())
    )
    facts = [*facts_of(loaded, settings, dataset, record, fixtures, image)]
    cassette = cassette_fact(model)
    found = fingerprint([*facts, cassette] if cassette else facts, subject=scenario.subject, host=host_facts(settings))
    plan = TrialPlan(
        loaded=loaded,
        make_agent=make_agent,
        agent=record,
        task=task,
        backend=backend,
        spec=_spec(loaded, settings),
        fixtures=fixtures,
        policy=_policy(loaded, settings, acts_freely=agent_class.acts_freely),
        secrets=secrets,
        redactor=Redactor.from_environment(scenario.secrets, os.environ),
        invocation=_invocation(loaded, settings, dataset, found),
        progress=progress,
    )
    return Prepared(
        plan=plan,
        dataset=dataset,
        image=image,
        fingerprint=found,
        trials=settings.trials or scenario.trials,
    )


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


def model_for(loaded: LoadedScenario, settings: Settings) -> str | None:
    """The model's name; the cassette of a replay as an absolute path. A scenario's is relative to its file, an option's
    to the folder pytest was started in or to its rootdir.
    """
    if settings.model is not None:
        name, bases = settings.model, [Path.cwd(), settings.root]
    elif loaded.scenario.model is not None:
        name, bases = loaded.scenario.model.name, [loaded.folder]
    else:
        return None
    if not name.startswith(REPLAY):
        return name
    given = name.removeprefix(REPLAY)
    for base in bases:
        if (base / given).is_file():
            return REPLAY + str((base / given).resolve())
    raise BlockedError(
        f"there is no cassette {given!r}",
        cause=Cause.CONFIGURATION,
        expected=f"a file, relative to {' or '.join(str(base) for base in dict.fromkeys(bases))}",
        hint="record one: --specbench-model NAME --specbench-record CASSETTE",
    )


def _display(model: str | None, loaded: LoadedScenario) -> str | None:
    """The model as the record names it: a cassette by its path below the scenario, never by a path of this machine."""
    if model is None or not model.startswith(REPLAY):
        return model
    path = Path(model.removeprefix(REPLAY))
    folder = loaded.folder.resolve()
    return REPLAY + (path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name)


def _agent_asked_for(loaded: LoadedScenario, settings: Settings) -> tuple[str, dict[str, Scalar]]:
    """Name and options; the scenario's options are meant for the scenario's agent only."""
    own = loaded.scenario.agent
    if settings.agent is None or settings.agent == own.name:
        return own.name, dict(own.options)
    return settings.agent, {}


def _check_mode(loaded: LoadedScenario, settings: Settings, *, acts_freely: bool) -> None:
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


def _check_host(loaded: LoadedScenario) -> None:
    wanted, there = loaded.scenario.runner.cpus, os.cpu_count() or 1
    if wanted > there:
        raise BlockedError(
            f"the scenario needs {wanted:g} CPUs, this host has {there}",
            cause=Cause.HOST_TOO_SMALL,
            where=loaded.where("runner", "cpus"),
            hint="run it on a larger host: fewer CPUs than the scenario states would measure something else",
        )


def _check_sandbox(loaded: LoadedScenario, settings: Settings, backend: SandboxBackend, *, trusted: bool) -> None:
    """The sandbox must be there, and must isolate unless what the agent does is known beforehand."""
    available = backend.availability()
    if not available.usable:
        raise BlockedError(available.reason, cause=Cause.ENGINE_MISSING, hint=available.hint)
    if not backend.isolates and not trusted and not settings.allow_unisolated_model:
        raise BlockedError(
            f"the sandbox {backend.name!r} does not isolate, and what this agent will do is not known beforehand",
            cause=Cause.NOT_ISOLATED,
            where=loaded.where("agent"),
            hint="--specbench-sandbox=docker; or, on a machine that may be harmed, --specbench-allow-unisolated-model",
        )


def _secrets(loaded: LoadedScenario) -> Mapping[str, str]:
    missing = [name for name in loaded.scenario.secrets if not os.environ.get(name)]
    if missing:
        raise BlockedError(
            f"the environment has no {', '.join(missing)}",
            cause=Cause.KEY_MISSING,
            where=loaded.where("secrets"),
            hint=f"export {missing[0]}=...",
        )
    return {name: os.environ[name] for name in loaded.scenario.secrets}


def _task(loaded: LoadedScenario, settings: Settings, model: str | None) -> AgentTask:
    scenario = loaded.scenario
    solution = None if scenario.solution is None else (loaded.folder / scenario.solution).read_text("utf-8")
    return AgentTask(
        scenario_id=scenario.scenario_id,
        instruction=scenario.instruction,
        command_path=scenario.command_path,
        limits=scenario.limits,
        approval_mode=settings.approval_mode,
        deadline=float("inf"),
        model=model,
        model_defaults=scenario.model,
        record_cassette=None if settings.record is None else str(settings.record),
        solution=solution,
        environment=scenario.environment,
    )


def _spec(loaded: LoadedScenario, settings: Settings) -> SandboxSpec:
    runner, scenario = loaded.scenario.runner, loaded.scenario
    return SandboxSpec(
        image=runner.image,
        cpus=runner.cpus,
        memory_mb=runner.memory_mb,
        pids=runner.pids,
        workdir=runner.workdir,
        user=runner.user,
        networks=(runner.network.setup, runner.network.agent, runner.network.verification),
        environment=scenario.environment,
        labels={"org.specbench.run": settings.run_id, "org.specbench.scenario": scenario.scenario_id},
    )


def _policy(loaded: LoadedScenario, settings: Settings, *, acts_freely: bool) -> CommandPolicy | None:
    if acts_freely:
        return None
    allow = loaded.scenario.allow
    return CommandPolicy(mode=ApprovalMode(settings.approval_mode), allow=allow.commands, deny=allow.deny)


def _invocation(loaded: LoadedScenario, settings: Settings, dataset: Dataset, found: Fingerprint) -> Invocation:
    scenario, runner = loaded.scenario, loaded.scenario.runner
    deadlines: dict[str, Scalar] = scenario.deadlines.model_dump()
    return Invocation(
        run_id=settings.run_id,
        dataset=dataset.reference,
        scenario_id=scenario.scenario_id,
        commit_sha=git_commit(loaded.folder),
        approval_mode=settings.approval_mode,
        approval_mode_source=settings.sources["approval_mode"],
        backend=settings.sandbox,
        limits={
            "cpus": runner.cpus,
            "memory_mb": runner.memory_mb,
            "pids": runner.pids,
            "network": str(found.instrument["network"]),
            **deadlines,
        },
        fingerprint=found,
    )
