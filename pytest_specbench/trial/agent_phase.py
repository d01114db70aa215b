"""The agent phase: the agent acts until it ends or its deadline comes, and nothing of it is left running."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pytest_specbench.agents.base import USAGE, Agent, AgentOutcome, AgentTask, Interruptible
from pytest_specbench.agents.deny_rules import acts_freely
from pytest_specbench.agents.shell import PolicedShell
from pytest_specbench.core.deadline import DeadlineExceededError, run_bounded
from pytest_specbench.core.errors import AgentError, BlockedError, InfrastructureError, SpecbenchError
from pytest_specbench.core.metrics import Measurement
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.files import disk_failure
from pytest_specbench.recording.journal import TrialJournal
from pytest_specbench.sandboxes.answering import answer_within
from pytest_specbench.sandboxes.base import Sandbox
from pytest_specbench.trial.plan import TrialPlan
from pytest_specbench.trial.record import Seen


def act_in(plan: TrialPlan, agent: Agent, sandbox: Sandbox, journal: TrialJournal, seen: Seen) -> None:
    """Let the agent act until it ends or its deadline comes; in either case nothing of it is left running."""
    scenario = plan.loaded.scenario
    limits = scenario.deadlines
    answer_within(limits.setup_sec, "switching the network", lambda: sandbox.set_network(scenario.runner.network.agent))
    answer_within(limits.setup_sec, "starting to measure", sandbox.start_measuring)
    # From here on the agent's time runs: what the sandbox took before is not the agent's.
    seconds = limits.agent_sec
    deadline = time.monotonic() + seconds
    task = plan.task.at(deadline)
    shell = PolicedShell(
        sandbox,
        journal,
        policy=plan.policy,
        deadline=deadline,
        command_sec=None if acts_freely(agent) else scenario.limits.command_sec,
        environment={**plan.spec.environment, **plan.secrets},
    )
    plan.progress("agent", 0)
    begun = time.monotonic()
    try:
        seen.outcome = run_bounded(lambda: _act(agent, task, shell, journal), seconds, phase="agent")
    except DeadlineExceededError as error:
        seen.failure = AgentError(str(error), cause=Cause.AGENT_TIMEOUT)
        seen.notes.append("the agent's own thread was left behind at the deadline; nothing it does counts any more")
    except SpecbenchError as error:
        seen.failure = error
    except Exception as error:  # noqa: BLE001 - a defect, and whose is said by `_defect`
        seen.failure = disk_failure(error) or _defect(agent, error)
    finally:
        seen.agent_ms = (time.monotonic() - begun) * 1000
        seen.phases_ms["agent"] = seen.agent_ms
        shell.stop()
        # An agent may make nothing of it, but what it did without its sandbox says nothing about it.
        if shell.failure is not None and not isinstance(seen.failure, BlockedError):
            seen.failure = shell.failure
        _cancel(agent, seen)
        seen.commands = shell.commands
        try:
            journal.close(getattr(seen.failure or seen.outcome, "cause", Cause.AGENT_TIMEOUT))
        except InfrastructureError as error:
            seen.failure = error  # the host could not take down what happened, whatever the agent made of that
    _end_what_is_left(plan, sandbox, seen)
    if isinstance(seen.failure, BlockedError):
        raise seen.failure  # nothing about the agent can be learned from what an infrastructure failure left behind
    network = scenario.runner.network.verification
    answer_within(limits.setup_sec, "switching the network", lambda: sandbox.set_network(network))


def _end_what_is_left(plan: TrialPlan, sandbox: Sandbox, seen: Seen) -> None:
    """Stop measuring, and kill what the agent left. A sandbox that fails here may have failed the agent before, at its
    deadline for example: so nothing counts against it.
    """
    seconds = plan.loaded.scenario.deadlines.teardown_sec
    try:
        seen.usage = answer_within(seconds, "the end of measuring", sandbox.stop_measuring)
        plan.progress("kill", None)
        with seen.timed("kill"):
            seen.killed = answer_within(seconds, "the kill of what the agent left", sandbox.kill_all)
    except InfrastructureError as error:
        if not isinstance(seen.failure, BlockedError):
            seen.failure = error


def _act(agent: Agent, task: AgentTask, shell: PolicedShell, journal: TrialJournal) -> AgentOutcome:
    """What the agent says about its end. An agent may be a third party's: nonsense is its own defect, and so is an exit
    that would end the session, since nobody interrupts this thread.
    """
    try:
        outcome: object = agent.run(task, shell, journal)
    except (KeyboardInterrupt, SystemExit) as error:
        raise AgentError(f"the agent crashed: {type(error).__name__}: {error}") from error
    if not isinstance(outcome, AgentOutcome):
        raise TypeError(f"its run returned {type(outcome).__name__}, where an AgentOutcome is expected")
    for name, kind in (("cause", Cause), ("reason", str), ("exit_status", int), ("usage", Mapping), ("notes", tuple)):
        if not isinstance(getattr(outcome, name), kind):
            raise TypeError(
                f"the {name} of its outcome is {getattr(outcome, name)!r}, where {kind.__name__} is expected"
            )
    for name, value in outcome.usage.items():
        if not _is_usage(name, value):
            raise TypeError(f"its outcome has the usage {name!r}: {value!r}, where one of {sorted(USAGE)} is expected")
    return outcome


def _defect(agent: Agent, error: Exception) -> SpecbenchError:
    """An agent's own defect is the agent's failure. One that ships with us is not under test: its defect is ours."""
    what = f"{type(error).__name__}: {error}"
    if type(agent).__module__.partition(".")[0] == __name__.partition(".")[0]:
        return BlockedError(
            f"specbench's own agent {agent.name!r} has a defect: {what}",
            cause=Cause.INTERNAL_ERROR,
            hint="report it with the trial's raw/events.jsonl",
        )
    return AgentError(f"the agent crashed: {what}")


def _cancel(agent: Agent, seen: Seen) -> None:
    """Take down what the agent used, as far as it can be believed, and tell it to give up."""
    if isinstance(agent, Interruptible):
        try:
            seen.used = {name: value for name, value in dict(agent.usage()).items() if _is_usage(name, value)}
            agent.cancel()
        except Exception as error:  # noqa: BLE001 - a third party's defect, which changes nothing about the trial
            seen.notes.append(
                f"the agent could not be asked for its usage or cancelled: {type(error).__name__}: {error}"
            )


def _is_usage(name: object, value: object) -> bool:
    """Whether an agent may say this about itself."""
    return name in USAGE and isinstance(value, Measurement) and (value.value is None or value.value >= 0)
