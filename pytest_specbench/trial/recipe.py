"""One trial: sandbox up, agent acts, agent killed, verify, measure, tear down. Every phase has an enforced deadline."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime

from pytest_specbench.core.errors import BlockedError, SpecbenchError
from pytest_specbench.core.records import CheckResult, TrialRecord
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.atif import TrajectoryHead, build_trajectory, check_trajectory
from pytest_specbench.recording.files import disk_failure, write_json
from pytest_specbench.recording.folder import TrialFolder
from pytest_specbench.recording.journal import TrialJournal
from pytest_specbench.recording.trial_file import write_trial
from pytest_specbench.sandboxes.answering import answer_within
from pytest_specbench.trial.agent_phase import act_in
from pytest_specbench.trial.plan import TrialPlan
from pytest_specbench.trial.record import Seen, conclude, measured, metadata, summary
from pytest_specbench.trial.set_up import prepare_agent, require_image, set_up
from pytest_specbench.trial.teardown import let_go
from pytest_specbench.trial.verification_phase import excuse_full_disk, verify


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
        seen.host_failed(error)
    trial = _trial_record(plan, index, folder, seen, problems)
    try:
        folder.write_metadata(metadata(plan.invocation, plan.agent, seen, index))
        folder.write_summary(summary(plan.invocation, trial))
        told = plan.invocation
        write_trial(
            folder.path, trial, run_id=told.run_id, scenario_id=told.scenario_id, of=told.fingerprint, tree=told.tree
        )
    except OSError as error:
        seen.host_failed(error)
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
                or disk_failure(error)
                or BlockedError(
                    f"{type(error).__name__}: {error}",
                    cause=Cause.INTERNAL_ERROR,
                    hint="please report this as a defect",
                )
            )
            if disk_failure(error) is None:
                journal.note("internal_error", traceback=traceback.format_exc())
    return _write_trajectory(plan, folder, journal, seen)


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
    prepare_agent(agent, plan.task, deadlines.setup_sec)
    plan.progress("set-up", None)
    with seen.timed("setup"):
        sandbox = set_up(plan, deadlines.setup_sec, lambda failed: let_go(plan, failed, seen))
    try:
        seen.sandbox = answer_within(deadlines.setup_sec, "asking the sandbox", sandbox.record)
        require_image(plan, seen.sandbox)
        act_in(plan, agent, sandbox, journal, seen)
        plan.progress("verification", None)
        with seen.timed("verification"):
            seen.checks = verify(plan, sandbox, folder, deadlines.verification_sec)
            excuse_full_disk(sandbox, deadlines.verification_sec, seen)
    finally:
        plan.progress("teardown", None)
        with seen.timed("teardown"):
            let_go(plan, sandbox, seen)
