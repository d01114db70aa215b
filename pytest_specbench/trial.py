"""One trial: sandbox up, agent acts, agent killed, verify, measure, tear down. Every phase has an enforced deadline."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_specbench.agents.base import USAGE, Agent, AgentOutcome, AgentTask, Interruptible
from pytest_specbench.agents.shell import CommandPolicy, PolicedShell
from pytest_specbench.core.deadline import DeadlineExceededError, run_bounded
from pytest_specbench.core.errors import AgentError, BlockedError, InfrastructureError, SpecbenchError
from pytest_specbench.core.metrics import Measurement
from pytest_specbench.core.records import AgentRecord, CheckResult, TrialRecord
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.atif import TrajectoryHead, build_trajectory, check_trajectory
from pytest_specbench.recording.files import DISK_FAULTS, unwritable, write_json
from pytest_specbench.recording.folder import PostTestWriter, TrialFolder
from pytest_specbench.recording.journal import TrialJournal
from pytest_specbench.recording.redact_tree import redact_tree
from pytest_specbench.recording.trial_file import write_trial
from pytest_specbench.sandboxes.base import Sandbox, SandboxBackend, SandboxSpec
from pytest_specbench.sandboxes.keeping import Keepable
from pytest_specbench.sandboxes.room import refuse_full_disk
from pytest_specbench.scenarios.fixtures import FixtureContent
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.trial_record import Invocation, Seen, conclude, measured, metadata, summary
from pytest_specbench.verifiers import applicable
from pytest_specbench.verifiers.base import VerificationContext

type Progress = Callable[[str, int | None], None]
"""Called with the phase that begins, or with the phase and the number of steps so far."""


@dataclass(frozen=True)
class TrialPlan:
    """What every trial of a benchmark run has in common."""

    loaded: LoadedScenario
    make_agent: Callable[[], Agent]
    """A fresh agent, so that no trial sees what another one left in it."""
    agent: AgentRecord
    task: AgentTask
    """The agent's task; its deadline is set when the agent phase begins."""
    backend: SandboxBackend
    spec: SandboxSpec
    fixtures: tuple[FixtureContent, ...]
    policy: CommandPolicy | None
    """What polices the agent's commands; None where they cannot be policed one by one, or need not be."""
    secrets: Mapping[str, str]
    """Host variables that the agent phase gets."""
    redactor: Redactor
    invocation: Invocation
    run_folder: Path
    progress: Progress
    keep: bool = False
    """Leave the sandbox for a look, instead of removing it."""


def run_trial(plan: TrialPlan, index: int, folder: TrialFolder) -> TrialRecord:
    """Run one trial and return what happened. Never raises for what the agent or the sandbox did; an interruption
    (KeyboardInterrupt) ends it with the cause `interrupted`, after the sandbox is torn down.
    """
    seen = Seen(started=datetime.now(UTC))
    problems: list[str] = []
    try:
        folder.write_metadata(metadata(plan.invocation, plan.agent, seen, index))
        problems = _run_recorded(plan, folder, seen)
    except OSError as error:
        seen.failure = unwritable(error)
    trial = _trial_record(plan, index, folder, seen, problems)
    try:
        folder.write_metadata(metadata(plan.invocation, plan.agent, seen, index))
        folder.write_summary(summary(plan.invocation, trial))
        told = plan.invocation
        write_trial(folder.path, trial, run_id=told.run_id, scenario_id=told.scenario_id, of=told.fingerprint)
    except OSError as error:
        seen.failure = unwritable(error)
        return _trial_record(plan, index, folder, seen, problems)
    return trial


def _run_recorded(plan: TrialPlan, folder: TrialFolder, seen: Seen) -> list[str]:
    """Take down what happens while it happens; return what is wrong with the trajectory. Raises OSError where the host
    cannot write.
    """
    journal = TrialJournal(
        folder,
        redactor=plan.redactor,
        title=plan.loaded.scenario.display_name,
        terminal_size=plan.loaded.scenario.terminal_size,
        on_progress=lambda steps: plan.progress("agent", steps),
    )
    with journal:
        try:
            _phases(plan, folder, journal, seen)
        except SpecbenchError as error:
            seen.failure = seen.failure or error
        except KeyboardInterrupt:
            # The sandbox is gone by now; what is known is recorded before the interruption goes on, in the gate.
            seen.failure = BlockedError("the run was interrupted", cause=Cause.INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - a defect of ours or of a plug-in is nobody's score, and is told
            seen.failure = (
                seen.failure
                or _full_disk(error)
                or BlockedError(
                    f"{type(error).__name__}: {error}",
                    cause=Cause.INTERNAL_ERROR,
                    hint="please report this as a defect",
                )
            )
            if _full_disk(error) is None:
                journal.note("internal_error", traceback=traceback.format_exc())
    return _write_trajectory(plan, folder, journal, seen)


def _full_disk(error: Exception) -> InfrastructureError | None:
    """The failure of the host that an error tells of, whoever ran into it."""
    return unwritable(error) if isinstance(error, OSError) and error.errno in DISK_FAULTS else None


def _trial_record(
    plan: TrialPlan, index: int, folder: TrialFolder, seen: Seen, trajectory_problems: list[str]
) -> TrialRecord:
    outcome, cause, reason = conclude(seen, trajectory_problems)
    return TrialRecord(
        index=index,
        started_at=seen.started,
        outcome=outcome,
        cause=cause,
        reason=plan.redactor.text(reason),
        metrics=measured(seen, outcome),
        phases_ms=seen.phases_ms,
        checks=tuple(CheckResult.model_validate(plan.redactor.json(check.model_dump())) for check in seen.checks),
        killed=tuple(plan.redactor.text(line) for line in seen.killed),
        agent=plan.agent,
        sandbox=seen.sandbox,
        artifacts_path=folder.path.relative_to(plan.run_folder).as_posix(),
        kept=seen.kept,
        notes=tuple(plan.redactor.text(str(note)) for note in seen.all_notes),
    )


def _write_trajectory(plan: TrialPlan, folder: TrialFolder, journal: TrialJournal, seen: Seen) -> list[str]:
    """Write the ATIF trajectory, whatever became of the trial, and return what is wrong with it."""
    head = TrajectoryHead(
        session_id=f"{plan.invocation.run_id}/{plan.invocation.scenario_id}/{folder.path.name}",
        agent_name=plan.agent.name,
        agent_version=plan.agent.version,
        instruction=plan.redactor.text(plan.task.instruction),
        started=seen.started,
        model_name=plan.agent.model,
        metrics_extra=_extra_metrics(seen),
    )
    try:
        trajectory = build_trajectory(journal.steps, head)
    except ValueError as error:
        return [str(error)]
    write_json(folder.trajectory, trajectory)
    return check_trajectory(trajectory)


def _extra_metrics(seen: Seen) -> dict[str, float]:
    """What was measured and has no field in ATIF."""
    found = {"runtime_ms": seen.agent_ms}
    if seen.usage is not None:
        found |= {"cpu_ms": seen.usage.cpu_ms, "peak_memory_mb": seen.usage.peak_memory_mb}
    return {name: round(value, 3) for name, value in found.items() if value is not None}


def _phases(plan: TrialPlan, folder: TrialFolder, journal: TrialJournal, seen: Seen) -> None:
    deadlines = plan.loaded.scenario.deadlines
    agent = plan.make_agent()
    plan.progress("preparing the agent", None)
    _prepare(agent, plan.task, deadlines.setup_sec)
    plan.progress("set-up", None)
    with _timed(seen, "setup"):
        sandbox = set_up(plan, deadlines.setup_sec, lambda failed: _let_go(plan, failed, seen))
    try:
        seen.sandbox = _within(deadlines.setup_sec, "asking the sandbox", sandbox.record)
        _agent_phase(plan, agent, sandbox, journal, seen)
        plan.progress("verification", None)
        with _timed(seen, "verification"):
            seen.checks = _verify(plan, sandbox, folder, deadlines.verification_sec)
            _excuse_full_disk(sandbox, deadlines.verification_sec, seen)
    finally:
        plan.progress("teardown", None)
        with _timed(seen, "teardown"):
            _let_go(plan, sandbox, seen)


def _excuse_full_disk(sandbox: Sandbox, seconds: float, seen: Seen) -> None:
    """What failed where the disk takes nothing any more counts against nobody."""
    content = seen.outcome is not None and seen.outcome.cause is Cause.VERIFIED and seen.outcome.exit_status == 0
    if seen.failure is None and content and all(check.passed for check in seen.checks):
        return
    try:
        run_bounded(lambda: refuse_full_disk(sandbox), seconds, phase="looking for room")
    except InfrastructureError as error:
        seen.failure = error
    except DeadlineExceededError:
        return  # what is known of the agent stands


def _prepare(agent: Agent, task: AgentTask, seconds: float) -> None:
    """Let the agent import and open what is slow, within the deadline of the set-up."""
    try:
        run_bounded(lambda: agent.prepare(task), seconds, phase="preparing the agent")
    except DeadlineExceededError as error:
        raise InfrastructureError(
            str(error), cause=Cause.SETUP_FAILED, hint="raise deadlines.setup_sec of the scenario"
        ) from None


def set_up(plan: TrialPlan, seconds: float, let_go: Callable[[Sandbox], None]) -> Sandbox:
    """A running sandbox with every fixture in place. One whose fixtures fail is let go of."""
    made: list[Sandbox] = []

    def work() -> Sandbox:
        sandbox = plan.backend.start(plan.spec)
        made.append(sandbox)
        sandbox.set_network(plan.loaded.scenario.runner.network.setup)
        for fixture in plan.fixtures:
            if fixture.archive is not None:
                sandbox.put(fixture.archive, fixture.target)
            for command in fixture.commands:
                result = sandbox.exec(command, timeout_sec=seconds, environment=plan.spec.environment)
                if result.exit_code != 0:
                    raise InfrastructureError(
                        f"fixture {fixture.name!r}: {' '.join(command)} ended with {result.exit_code}: "
                        + result.output.decode(errors="replace")[-500:],
                        cause=Cause.SETUP_FAILED,
                    )
        return sandbox

    try:
        return run_bounded(work, seconds, phase="set-up", on_late=lambda late: late.close())
    except BaseException as error:
        for sandbox in made:
            let_go(sandbox)
        if isinstance(error, DeadlineExceededError):
            raise InfrastructureError(
                str(error), cause=Cause.SETUP_FAILED, hint="raise deadlines.setup_sec of the scenario"
            ) from None
        raise


def _agent_phase(plan: TrialPlan, agent: Agent, sandbox: Sandbox, journal: TrialJournal, seen: Seen) -> None:
    """Let the agent act until it ends or its deadline comes; in either case nothing of it is left running."""
    scenario = plan.loaded.scenario
    limits = scenario.deadlines
    _within(limits.setup_sec, "switching the network", lambda: sandbox.set_network(scenario.runner.network.agent))
    seconds = scenario.deadlines.agent_sec
    deadline = time.monotonic() + seconds
    task = plan.task.at(deadline)
    shell = PolicedShell(
        sandbox,
        journal,
        policy=plan.policy,
        deadline=deadline,
        command_sec=None if agent.acts_freely else scenario.limits.command_sec,
        environment={**plan.spec.environment, **plan.secrets},
    )
    plan.progress("agent", 0)
    _within(limits.setup_sec, "starting to measure", sandbox.start_measuring)
    begun = time.monotonic()
    try:
        seen.outcome = run_bounded(lambda: _act(agent, task, shell, journal), seconds, phase="agent")
    except DeadlineExceededError as error:
        seen.failure = AgentError(str(error), cause=Cause.AGENT_TIMEOUT)
        seen.notes.append("the agent's own thread was left behind at the deadline; nothing it does counts any more")
    except SpecbenchError as error:
        seen.failure = error
    except Exception as error:  # noqa: BLE001 - an agent's own defect is the agent's failure
        seen.failure = _full_disk(error) or AgentError(f"the agent crashed: {type(error).__name__}: {error}")
    finally:
        seen.agent_ms = (time.monotonic() - begun) * 1000
        seen.phases_ms["agent"] = seen.agent_ms
        shell.stop()
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
    _within(limits.setup_sec, "switching the network", lambda: sandbox.set_network(network))


def _end_what_is_left(plan: TrialPlan, sandbox: Sandbox, seen: Seen) -> None:
    """Stop measuring, and kill what the agent left. A sandbox that fails here may have failed the agent before, at its
    deadline for example: so nothing counts against it.
    """
    seconds = plan.loaded.scenario.deadlines.teardown_sec
    try:
        seen.usage = _within(seconds, "the end of measuring", sandbox.stop_measuring)
        plan.progress("kill", None)
        with _timed(seen, "kill"):
            seen.killed = _within(seconds, "the kill of what the agent left", sandbox.kill_all)
    except InfrastructureError as error:
        if not isinstance(seen.failure, BlockedError):
            seen.failure = error


def _within[T](seconds: float, doing: str, function: Callable[[], T]) -> T:
    """What `function` asks of the sandbox, which has failed when it does not answer in time."""
    try:
        return run_bounded(function, seconds, phase=doing)
    except DeadlineExceededError as error:
        raise InfrastructureError(str(error), hint="see whether the engine answers: docker info") from None


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


def _verify(plan: TrialPlan, sandbox: Sandbox, folder: TrialFolder, seconds: float) -> tuple[CheckResult, ...]:
    """Every check that applies, in order. Infrastructure that fails here is never the agent's failure."""
    deadline = time.monotonic() + seconds

    def left() -> float:
        rest = deadline - time.monotonic()
        if rest <= 0:
            raise InfrastructureError(f"verification took more than {seconds:g} s", cause=Cause.VERIFIER_TIMEOUT)
        return rest

    with PostTestWriter(folder.post_test, plan.redactor) as post_test:

        def write(chunk: bytes) -> None:
            try:
                post_test.write(chunk)
            except OSError as error:
                raise unwritable(error) from error

        context = VerificationContext(
            scenario=plan.loaded.scenario,
            scenario_folder=plan.loaded.folder,
            sandbox=sandbox,
            folder=folder.verifier,
            write=write,
            remaining=left,
        )

        def work() -> list[CheckResult]:
            return [check for verifier in applicable(plan.loaded.scenario) for check in verifier.verify(context)]

        try:
            # A little more than the deadline, so that a verifier which keeps it can say itself what it was doing.
            return tuple(run_bounded(work, seconds + 1.0, phase="verification"))
        except DeadlineExceededError as error:
            raise InfrastructureError(
                str(error), cause=Cause.VERIFIER_TIMEOUT, hint="raise deadlines.verification_sec of the scenario"
            ) from None
        finally:
            redact_tree(folder.verifier, plan.redactor)  # what a verifier kept is the agent's, secrets included


def _let_go(plan: TrialPlan, sandbox: Sandbox, seen: Seen) -> None:
    """Keep the sandbox where that was asked for, else remove it. What cannot be kept or removed is noted: it changes
    nothing about what the agent did.
    """
    seconds = plan.loaded.scenario.deadlines.teardown_sec
    if plan.keep:
        try:
            if not isinstance(sandbox, Keepable):
                raise InfrastructureError(f"a {type(sandbox).__name__} cannot be kept")
            seen.kept = run_bounded(sandbox.keep, seconds, phase="keeping the sandbox")
        except (DeadlineExceededError, SpecbenchError) as error:
            seen.notes.append(f"the sandbox was not kept, and is removed: {error}")
        else:
            return
    try:
        run_bounded(sandbox.close, seconds, phase="teardown")
    except (DeadlineExceededError, SpecbenchError) as error:
        seen.notes.append(f"teardown: {error}")


class _timed:  # noqa: N801 - reads as a statement at its few uses
    """Adds the milliseconds of its block to the phases."""

    def __init__(self, seen: Seen, phase: str) -> None:
        self._seen = seen
        self._phase = phase

    def __enter__(self) -> None:
        self._begun = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._seen.phases_ms[self._phase] = round((time.monotonic() - self._begun) * 1000, 3)
