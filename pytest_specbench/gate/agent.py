"""Who acts: the agent and the model that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_specbench.agents import AGENTS
from pytest_specbench.agents.base import Agent, Chargeable
from pytest_specbench.core.errors import BlockedError, UsageError
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause
from pytest_specbench.gate.conditions import REPLAY
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.scenarios.model import ModelDefaults


def agent_asked_for(loaded: LoadedScenario, settings: Settings) -> tuple[str, dict[str, Scalar]]:
    """Name and options; the scenario's options are meant for the scenario's agent only."""
    own = loaded.scenario.agent
    if settings.agent is None or settings.agent == own.name:
        return own.name, dict(own.options)
    return settings.agent, {}


def agent_maker(name: str, options: Mapping[str, Scalar], settings: Settings, *, live: bool) -> Callable[[], Agent]:
    """What makes an agent of that name, one for each trial; it raises BlockedError where a cost cap cannot be kept.

    Raises UsageError for a name that nobody has.
    """
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


def model_taken(name: str, model: str | None, settings: Settings) -> str | None:
    """The model that the agent asks; None where it asks none, whatever the scenario or a configuration names.

    Raises UsageError where one was asked for on the command line.
    """
    if getattr(AGENTS.load(name), "takes_model", True) is not False:
        return model
    source = settings.sources.get("model", "")
    if settings.model is not None and source.startswith("command line"):
        raise UsageError(
            f"the agent {name!r} asks no model, and {settings.model!r} was asked for",
            where=f"--specbench-model from {source}",
            expected="an agent that asks one, for example spec-kit-orchestrator, or no model",
        )
    return None


def display_name(model: str | None, loaded: LoadedScenario) -> str | None:
    """The model as the record names it: a cassette by its path below the scenario, never by a path of this machine."""
    if model is None or not model.startswith(REPLAY):
        return model
    path = Path(model.removeprefix(REPLAY))
    folder = loaded.folder.resolve()
    return REPLAY + (path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name)


def model_defaults(loaded: LoadedScenario, settings: Settings) -> ModelDefaults | None:
    """The scenario's, for its own model. Another one gets its patience only: not the endpoint, which would then see
    that model's key, and not the prices and parameters, which are the scenario's model's.
    """
    own = loaded.scenario.model
    if own is None or settings.model is None or settings.model == own.name:
        return own
    return ModelDefaults(name=settings.model, request_timeout_sec=own.request_timeout_sec, retries=own.retries)
