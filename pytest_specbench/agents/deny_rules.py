"""Whether an agent can be held to a scenario's deny rules: only where each of its commands is policed by itself."""

from __future__ import annotations

from pytest_specbench.agents import AGENTS
from pytest_specbench.core.errors import ScenarioError, UsageError
from pytest_specbench.scenarios.loader import LoadedScenario


def acts_freely(agent: object) -> bool:
    """Whether the commands of an agent, or of a class of agents, are not policed one by one.

    So it is for every agent that does not declare the opposite: `acts_freely = False`.
    """
    return getattr(agent, "acts_freely", True) is not False


def check_deny_rules(loaded: LoadedScenario, *, asked_for: str | None) -> None:
    """Raises ScenarioError for deny rules that the agent would not be held to, or of which nobody can say.

    `asked_for`: the agent that the invocation puts in place of the scenario's, null for none. An agent's class is
    imported only where there are deny rules.
    """
    rules = loaded.scenario.allow.deny
    if not rules:
        return
    own = loaded.scenario.agent.name
    name = own if asked_for is None else asked_for
    by = "" if name == own else f", which the invocation puts in place of {own!r},"
    where = loaded.where("allow", "deny")
    try:
        agent_class = AGENTS.load(name)
    except UsageError as error:
        raise ScenarioError(
            f"it is unknown whether the agent {name!r}{by} is held to the deny rules: {error.message}",
            where=where,
            expected=error.expected,
            hint="install what registers it; for module:Class, start from where the module is: python -m pytest",
        ) from None
    if acts_freely(agent_class):
        raise ScenarioError(
            f"the agent {name!r}{by} is not held to the {len(rules)} deny rule(s), such as {rules[0]!r}: its commands "
            "are not policed one by one",
            where=where,
            expected="no deny rules here, or an agent whose class declares `acts_freely = False`",
            hint="name such an agent, for example spec-kit-orchestrator; or take the rules out, and have the sandbox "
            "keep out of reach what must be",
        )
