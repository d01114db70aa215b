"""Deny rules with an agent that is not held to them: an error at collection, never ignored."""

from __future__ import annotations

import pytest
from scenario_files import Project

DENY = {"allow": {"deny": ["curl*"]}}
AGENT = """
from pytest_specbench.agents.base import AgentOutcome

class Silent:
    name, version, trusted = "silent", "1", True

    def __init__(self, **options):
        if options.get("freely"):
            self.acts_freely = True

    def prepare(self, task):
        pass

    def run(self, task, shell, journal):
        shell.run("echo made > result.txt")
        return AgentOutcome()

    def configuration(self):
        return {}

class Policed(Silent):
    acts_freely = False

class Computed(Silent):
    @property
    def acts_freely(self):
        return False
"""


@pytest.fixture
def agents(project: Project) -> Project:
    project.module("silence", AGENT)
    return project


def _where(run_project: Project) -> str:
    lines = (run_project.path / "demo.scenario.yaml").read_text("utf-8").splitlines()
    return f"demo.scenario.yaml:{lines.index('  deny:') + 1}: allow.deny: "


@pytest.mark.parametrize("name", ["command", "oracle"])
def test_an_agent_that_acts_freely_is_refused_at_file_line_and_key(either: Project, name: str) -> None:
    options = {"options": {"command": "touch result.txt"}} if name == "command" else {}
    either.scenario(agent={"name": name, **options}, **DENY)

    ran = either.run()

    assert ran.code == 2
    assert _where(either) + f"the agent {name!r} is not held to the 1 deny rule(s), such as 'curl*'" in ran.out
    assert "expected: no deny rules here, or an agent whose class declares `acts_freely = False`" in ran.out
    assert "next: name such an agent" in ran.out
    assert ran.report["scenarios"] == []


@pytest.mark.parametrize(("name", "held"), [("Policed", True), ("Silent", False), ("Computed", False)])
def test_an_agent_of_somebody_else_is_held_only_where_its_class_says_so(agents: Project, name: str, held: bool) -> None:
    agents.scenario(agent={"name": f"silence:{name}"}, **DENY)

    ran = agents.run()

    if held:
        assert ran.verdict() == ("provisional", "verified", 0)
    else:
        assert ran.code == 2
        assert f"the agent 'silence:{name}' is not held to" in ran.out


def test_an_agent_that_gives_the_promise_up_by_its_options_blocks_the_run(agents: Project) -> None:
    agents.scenario(agent={"name": "silence:Policed", "options": {"freely": True}}, **DENY)

    assert agents.run().verdict() == ("blocked", "configuration", 2)


def test_the_agent_that_will_run_is_judged_and_not_the_one_in_the_file(agents: Project) -> None:
    agents.scenario(agent={"name": "silence:Policed"}, **DENY)

    refused = agents.run("--specbench-agent=oracle")

    assert refused.code == 2
    assert "the agent 'oracle', which the invocation puts in place of 'silence:Policed', is not held to" in refused.out
    agents.scenario(**DENY)
    assert agents.run("--specbench-agent=silence:Policed").verdict() == ("provisional", "verified", 0)


def test_a_scenario_that_is_not_asked_for_is_judged_by_no_agent(project: Project) -> None:
    project.scenario("other")
    project.scenario(agent={"name": "nop"}, **DENY)

    assert project.run("--specbench-agent=command", "--specbench-scenarios=other", "--collect-only").code == 0


def test_an_agent_of_which_nobody_can_say_is_refused(project: Project) -> None:
    project.scenario(agent={"name": "nobody"}, **DENY)

    ran = project.run()

    assert ran.code == 2
    assert _where(project) + "it is unknown whether the agent 'nobody' is held to the deny rules" in ran.out


def test_without_deny_rules_nothing_is_asked_and_no_class_is_imported(project: Project) -> None:
    project.scenario(agent={"name": "nobody"}, allow={"commands": ["make*"]})

    assert project.run("--collect-only").code == 0


def test_validate_says_the_same(agents: Project) -> None:
    agents.scenario(**DENY)

    ran = agents.specbench("validate", "demo.scenario.yaml")

    assert ran.code == 1
    assert _where(agents) + "the agent 'command' is not held to" in ran.err
    assert "0 of 1 scenario files are valid" in ran.out
    agents.scenario(agent={"name": "silence:Policed"}, **DENY)
    assert agents.specbench("validate", "demo.scenario.yaml").code == 0
    agents.pytester._monkeypatch.setenv("SPECBENCH_AGENT", "oracle")
    assert "in place of 'silence:Policed'" in agents.specbench("validate", "demo.scenario.yaml").err
