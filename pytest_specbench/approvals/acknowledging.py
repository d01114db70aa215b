"""A known regression is acknowledged for a while, or no longer."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

from pytest_specbench.approvals.decisions import Decision, deciding
from pytest_specbench.approvals.proposals import recorded_run
from pytest_specbench.core.approval.acknowledgement import Shown, what_is_known
from pytest_specbench.core.approval.audit import Action, AuditEntry, comparison_key
from pytest_specbench.core.approval.baselines import PORTABLE, host_class_of
from pytest_specbench.core.errors import ApprovalRefusedError
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.transitions import IllegalTransitionError, RunEvent, run_after
from pytest_specbench.store.runs.history import History
from pytest_specbench.store.runs.run_folder import artifact_problems

LONGEST = timedelta(days=366)
"""For how long a regression may be acknowledged: what is known for longer is the new normal, and wants an approval."""


def acknowledge(
    scenario_id: str, until: date, reason: str, settings: Settings, *, now: datetime | None = None
) -> AuditEntry:
    """Let the regression that the run of the settings shows, and nothing worse, be green until a day.

    Raises ApprovalRefusedError with all reasons, RunNotFoundError when no such run of the scenario is recorded.
    """
    with History.open(settings.output) as history:
        run, folder = recorded_run(history, settings.run, scenario_id)
    with deciding(settings, now) as decision:
        reasons = [*_of_run(run, folder), *_asked_for(until, reason, decision.at), *decision.four_eyes(run)]
        if reasons or run.fingerprint is None:
            raise ApprovalRefusedError(f"the regression of {scenario_id} is not acknowledged:", tuple(reasons))
        shown = Shown(
            cause=run.cause,
            trials=[trial for trial in run.trials if not trial.repeated],
            metrics=run.metrics,
            tracked=run.metrics_tracked,
            comparison=run.comparison,
        )
        entry = decision.entry(
            action=Action.ACKNOWLEDGE,
            scenario_id=scenario_id,
            key=comparison_key(run.fingerprint, host_class_of(run, portable=False)),
            run_id=run.run_id,
            reason=reason,
            acknowledged=what_is_known(shown, until),
        )
        return decision.record(entry)


def withdraw(scenario_id: str, reason: str, settings: Settings, *, now: datetime | None = None) -> list[AuditEntry]:
    """End every acknowledgement of the scenario that holds today.

    Raises ApprovalRefusedError when there is none, no reason is given, or the user is no maintainer.
    """
    with deciding(settings, now) as decision:
        found = _in_force(decision, scenario_id)
        if not found or not reason.strip():
            why = "no acknowledgement of it holds" if not found else "say why, with --reason"
            raise ApprovalRefusedError(f"nothing of {scenario_id} is withdrawn:", (why,))
        return [
            decision.record(
                decision.entry(
                    action=Action.WITHDRAW, scenario_id=scenario_id, key=key, run_id=entry.run_id, reason=reason
                )
            )
            for key, entry in found.items()
        ]


def _in_force(decision: Decision, scenario_id: str) -> dict[str, AuditEntry]:
    """The newest acknowledgement of each key that holds today."""
    keys = {filed.entry.key for filed in decision.trail.entries if filed.entry.scenario_id == scenario_id}
    found = {}
    for key in sorted(keys):
        holding = decision.trail.acknowledgements(scenario_id, [key], decision.at.date())
        if holding:
            found[key] = holding[0].entry
    return found


def _of_run(run: BenchmarkRun, folder: Path) -> list[str]:
    reasons = [*artifact_problems(folder, run)]
    try:
        run_after(run.status, [RunEvent.ACKNOWLEDGED])
    except IllegalTransitionError as error:
        reasons.append(f"{error} ({run.cause}); only a regression can")
    if run.fingerprint is None:
        reasons.append("the run has no fingerprint, so that nothing could be told to be the same")
    elif run.fingerprint.host.get("class") == PORTABLE:
        reasons.append(f"no host is of the class {PORTABLE!r}")
    if run.clean is not True:
        reasons.append("the run was not made from a clean commit, so that nobody could repeat it")
    return reasons


def _asked_for(until: date, reason: str, at: datetime) -> list[str]:
    reasons = []
    if until <= at.date():
        reasons.append(f"--until {until} must be in the future")
    if until - at.date() > LONGEST:
        reasons.append(f"--until {until} is more than {LONGEST.days} days away; approve it instead, if it is to stay")
    if not reason.strip():
        reasons.append("say why, with --reason")
    return reasons
