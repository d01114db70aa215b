"""What must hold before a trial runs. Whatever does not blocks the benchmark run, with the command that mends it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_specbench.agents import AGENTS
from pytest_specbench.agents.base import Agent, AgentTask, Chargeable
from pytest_specbench.agents.shell import CommandPolicy
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.fingerprint import fingerprint
from pytest_specbench.core.policy import ApprovalMode
from pytest_specbench.core.records import AgentRecord, Fingerprint, ImageIdentity, Scalar
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause
from pytest_specbench.facts import facts_of, host_facts, model_facts
from pytest_specbench.recording.repository import git_commit, tree_state, unclean
from pytest_specbench.sandboxes import SANDBOXES
from pytest_specbench.sandboxes.base import SandboxBackend, SandboxSpec
from pytest_specbench.sandboxes.keeping import RUN_LABEL, SCENARIO_LABEL, KeepingBackend
from pytest_specbench.scenarios.datasets import Dataset, contains, resolve_dataset
from pytest_specbench.scenarios.fixtures import FixtureContent, materialise
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.scenarios.model import ModelDefaults
from pytest_specbench.trial_plan import Progress, TrialPlan
from pytest_specbench.trial_record import Invocation

REPLAY = "replay:"


@dataclass(frozen=True)
class Observed:
    """What a run of the scenario would be made of, before anything is allowed or run."""

    dataset: Dataset
    backend: SandboxBackend
    image: ImageIdentity | None
    fixtures: tuple[FixtureContent, ...]
    make_agent: Callable[[], Agent]
    agent: AgentRecord
    model: str | None
    """As the agent takes it: a cassette by its absolute path."""
    fingerprint: Fingerprint


@dataclass(frozen=True)
class Prepared:
    """A scenario that may run: the plan of its trials, and what was observed."""

    plan: TrialPlan
    observed: Observed
    trials: int
    clean: bool
    """Whether the commit that is checked out holds exactly what runs."""


def observe(loaded: LoadedScenario, settings: Settings) -> Observed:
    """Look at everything that the fingerprint is made of. Raises BlockedError, DatasetError or UsageError."""
    scenario = loaded.scenario
    dataset = check_dataset(loaded, settings)
    name, options = _agent_asked_for(loaded, settings)
    model = model_for(loaded, settings)
    make_agent = _agent_maker(name, options, settings, live=model is not None and not model.startswith(REPLAY))
    backend: SandboxBackend = SANDBOXES.load(settings.sandbox)()
    available = backend.availability()
    if not available.usable:
        raise BlockedError(available.reason, cause=Cause.ENGINE_MISSING, hint=available.hint)
    image = backend.identify(scenario.runner.image)
    fixtures = tuple(materialise(loaded, fixture) for fixture in scenario.prerequisites)
    agent = make_agent()
    record = AgentRecord(
        name=name, version=str(agent.version), model=_display(model, loaded), configuration=dict(agent.configuration())
    )
    facts = facts_of(loaded, settings, dataset, record, fixtures, image)
    return Observed(
        dataset=dataset,
        backend=backend,
        image=image,
        fixtures=fixtures,
        make_agent=make_agent,
        agent=record,
        model=model,
        fingerprint=fingerprint(
            [*facts, *model_facts(loaded, model)], subject=scenario.subject, host=host_facts(settings)
        ),
    )


def prepare(loaded: LoadedScenario, settings: Settings, progress: Progress) -> Prepared:
    """Check everything that must hold. Raises BlockedError, DatasetError or UsageError with the next command."""
    scenario = loaded.scenario
    clean = check_clean(loaded, settings)
    _check_host(loaded)
    observed = observe(loaded, settings)
    agent = observed.make_agent()
    _check_mode(loaded, settings, acts_freely=agent.acts_freely)
    _check_isolation(
        loaded,
        settings,
        observed.backend,
        trusted=agent.trusted
        or (getattr(agent, "trusted_in_replay", False) and (observed.model or "").startswith(REPLAY)),
    )
    _check_keeping(observed.backend, settings)
    plan = TrialPlan(
        loaded=loaded,
        make_agent=observed.make_agent,
        agent=observed.agent,
        task=_task(loaded, settings, observed.model),
        backend=observed.backend,
        spec=_spec(loaded, settings),
        fixtures=observed.fixtures,
        policy=_policy(loaded, settings, acts_freely=agent.acts_freely),
        secrets=_secrets(loaded),
        redactor=Redactor.from_environment(scenario.secrets, os.environ),
        invocation=_invocation(loaded, settings, observed),
        run_folder=settings.run_folder,
        progress=progress,
        keep=settings.keep,
    )
    return Prepared(plan=plan, observed=observed, trials=_trials(loaded, settings), clean=clean)


def _trials(loaded: LoadedScenario, settings: Settings) -> int:
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


def _agent_maker(name: str, options: Mapping[str, Scalar], settings: Settings, *, live: bool) -> Callable[[], Agent]:
    agent_class = AGENTS.load(name)

    def make_agent() -> Agent:
        agent: Agent = agent_class(**options)
        if settings.max_cost_usd is not None and isinstance(agent, Chargeable):
            from pytest_specbench.agents.models.spend import SpendLedger

            agent.charge_to(SpendLedger(settings.run_folder / "spend.jsonl", settings.max_cost_usd))
        elif settings.max_cost_usd is not None and live:
            raise BlockedError(
                f"the agent {name!r} does not charge its model's cost to the session, so the cap cannot be kept",
                cause=Cause.SESSION_COST_CAP,
                hint="an agent that implements `charge_to`, or no --specbench-max-cost",
            )
        return agent

    return make_agent


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


def _check_isolation(loaded: LoadedScenario, settings: Settings, backend: SandboxBackend, *, trusted: bool) -> None:
    """The sandbox must isolate unless what the agent does is known beforehand."""
    if not backend.isolates and not trusted and not settings.allow_unisolated_model:
        raise BlockedError(
            f"the sandbox {backend.name!r} does not isolate, and what this agent will do is not known beforehand",
            cause=Cause.NOT_ISOLATED,
            where=loaded.where("agent"),
            hint="--specbench-sandbox=docker; or, on a machine that may be harmed, --specbench-allow-unisolated-model",
        )


def _check_keeping(backend: SandboxBackend, settings: Settings) -> None:
    """Who asks for sandboxes to be kept must not find out afterwards that they are gone."""
    if settings.keep and not isinstance(backend, KeepingBackend):
        raise BlockedError(
            f"the sandbox {backend.name!r} cannot be kept for a look",
            cause=Cause.CONFIGURATION,
            expected="a backend with `kept` and `remove_kept`, and sandboxes with `keep`, as docker and local are",
            hint=f"leave out --specbench-keep (from {settings.sources['keep']}), or use another sandbox",
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
    try:
        solution = None if scenario.solution is None else (loaded.folder / scenario.solution).read_text("utf-8")
    except ValueError as error:
        raise BlockedError(
            f"{scenario.solution!r} is no text: {error}", cause=Cause.CONFIGURATION, where=loaded.where("solution")
        ) from None
    return AgentTask(
        scenario_id=scenario.scenario_id,
        instruction=scenario.instruction,
        command_path=scenario.command_path,
        limits=scenario.limits,
        approval_mode=settings.approval_mode,
        deadline=float("inf"),
        model=model,
        model_defaults=_model_defaults(loaded, settings),
        record_cassette=settings.record,
        solution=solution,
        environment=scenario.environment,
        secrets=scenario.secrets,
    )


def _model_defaults(loaded: LoadedScenario, settings: Settings) -> ModelDefaults | None:
    """The scenario's, for its own model. Another one gets its patience only: not the endpoint, which would then see
    that model's key, and not the prices and parameters, which are the scenario's model's.
    """
    own = loaded.scenario.model
    if own is None or settings.model is None or settings.model == own.name:
        return own
    return ModelDefaults(name=settings.model, request_timeout_sec=own.request_timeout_sec, retries=own.retries)


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
        labels={RUN_LABEL: settings.run_id, SCENARIO_LABEL: scenario.scenario_id},
        lifetime_sec=sum(scenario.deadlines.model_dump().values()),
    )


def _policy(loaded: LoadedScenario, settings: Settings, *, acts_freely: bool) -> CommandPolicy | None:
    if acts_freely:
        return None
    allow = loaded.scenario.allow
    return CommandPolicy(mode=ApprovalMode(settings.approval_mode), allow=allow.commands, deny=allow.deny)


def _invocation(loaded: LoadedScenario, settings: Settings, observed: Observed) -> Invocation:
    scenario, runner = loaded.scenario, loaded.scenario.runner
    deadlines: dict[str, Scalar] = scenario.deadlines.model_dump()
    return Invocation(
        run_id=settings.run_id,
        dataset=observed.dataset.reference,
        scenario_id=scenario.scenario_id,
        commit_sha=git_commit(loaded.folder),
        approval_mode=settings.approval_mode,
        approval_mode_source=settings.sources["approval_mode"],
        backend=settings.sandbox,
        limits={
            "cpus": runner.cpus,
            "memory_mb": runner.memory_mb,
            "pids": runner.pids,
            "network": str(observed.fingerprint.instrument["network"]),
            **deadlines,
        },
        fingerprint=observed.fingerprint,
        tree=tree_state(loaded.folder, ignore=settings.output),
    )
