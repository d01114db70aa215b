"""From a scenario and the settings to the plan of its trials, and to what the fingerprint is made of."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from pytest_specbench.agents.base import Agent, AgentTask
from pytest_specbench.agents.deny_rules import acts_freely
from pytest_specbench.agents.shell import CommandPolicy
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.fingerprint import fingerprint
from pytest_specbench.core.policy.modes import ApprovalMode
from pytest_specbench.core.records import AgentRecord, Fingerprint, ImageIdentity, Scalar
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause
from pytest_specbench.gate.agent import (
    agent_asked_for,
    agent_maker,
    display_name,
    model_defaults,
    model_for,
    model_taken,
)
from pytest_specbench.gate.conditions import (
    REPLAY,
    check_added,
    check_clean,
    check_dataset,
    check_deny,
    check_host,
    check_isolation,
    check_keeping,
    check_mode,
    check_tested,
    secrets_of,
    trials_of,
)
from pytest_specbench.gate.facts import facts_of, host_facts, model_facts
from pytest_specbench.recording.repository import git_commit, tree_state
from pytest_specbench.sandboxes import SANDBOXES
from pytest_specbench.sandboxes.base import SandboxBackend, SandboxSpec
from pytest_specbench.sandboxes.keeping import RUN_LABEL, SCENARIO_LABEL
from pytest_specbench.scenarios.datasets import Dataset
from pytest_specbench.scenarios.fixtures import FixtureContent, materialise
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.trial.plan import Progress, TrialPlan
from pytest_specbench.trial.record import Invocation


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
    name, options = agent_asked_for(loaded, settings)
    model = model_for(loaded, settings)
    check_added(loaded, settings, agent=name, model=model)
    model = model_taken(name, model, settings)
    make_agent = agent_maker(name, options, settings, live=model is not None and not model.startswith(REPLAY))
    check_tested(loaded, settings, name)
    backend: SandboxBackend = SANDBOXES.load(settings.sandbox)()
    available = backend.availability()
    if not available.usable:
        raise BlockedError(available.reason, cause=Cause.ENGINE_MISSING, hint=available.hint)
    image = backend.identify(scenario.runner.image)
    fixtures = tuple(materialise(source_of(loaded, settings), fixture) for fixture in scenario.prerequisites)
    agent = make_agent()
    record = AgentRecord(
        name=name,
        version=str(agent.version),
        model=display_name(model, loaded),
        configuration=dict(agent.configuration()),
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
    check_host(loaded)
    observed = observe(loaded, settings)
    agent = observed.make_agent()
    free = acts_freely(agent)
    check_mode(loaded, settings, acts_freely=free)
    check_deny(loaded, acts_freely=free)
    check_isolation(
        loaded,
        settings,
        observed.backend,
        trusted=agent.trusted
        or (getattr(agent, "trusted_in_replay", False) and (observed.model or "").startswith(REPLAY)),
    )
    check_keeping(observed.backend, settings)
    plan = TrialPlan(
        loaded=loaded,
        make_agent=observed.make_agent,
        agent=observed.agent,
        task=_task(loaded, settings, observed.model),
        backend=observed.backend,
        spec=_spec(loaded, settings),
        image=observed.image,
        fixtures=observed.fixtures,
        policy=_policy(loaded, settings, acts_freely=free),
        secrets=secrets_of(loaded),
        redactor=Redactor.from_environment(scenario.secrets, os.environ),
        invocation=_invocation(loaded, settings, observed),
        run_folder=settings.run_folder,
        progress=progress,
        keep=settings.keep,
    )
    return Prepared(plan=plan, observed=observed, trials=trials_of(loaded, settings), clean=clean)


def source_of(loaded: LoadedScenario, settings: Settings) -> LoadedScenario:
    """The scenario, with its fixtures in the work tree where they are under test."""
    if "fixtures" not in loaded.scenario.subject:
        return loaded
    return replace(loaded, folder=settings.under_test(loaded.folder))


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
        model_defaults=model_defaults(loaded, settings),
        record_cassette=settings.record,
        solution=solution,
        environment=scenario.environment,
        secrets=scenario.secrets,
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
        commit_sha=git_commit(settings.under_test(loaded.folder)),
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
        tree=tree_state(settings.under_test(loaded.folder), ignore=settings.output),
    )
