"""What maintainers decide: a run becomes the baseline, a baseline retires, a regression is known. Never by a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from pytest_specbench.core.acknowledgement import what_is_known
from pytest_specbench.core.audit import Action, AuditEntry, Trail, comparison_key, entry_bytes, latest
from pytest_specbench.core.baselines import BaselineRecord, host_class_of
from pytest_specbench.core.errors import ApprovalRefusedError
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Status
from pytest_specbench.core.transitions import BaselineEvent, IllegalTransitionError, baseline_after
from pytest_specbench.proposals import propose_baseline, recorded_run, signing_of
from pytest_specbench.store.audit import append, read_trail
from pytest_specbench.store.baselines import approving, write_approved
from pytest_specbench.store.history import History
from pytest_specbench.store.identity import Maintainer, who_acts
from pytest_specbench.store.run_folder import artifact_problems
from pytest_specbench.store.trees import FolderTree
from pytest_specbench.store.trust import read_trust


@dataclass(frozen=True)
class Approved:
    """What an approval did."""

    record: BaselineRecord
    path: Path
    """Where the record is."""
    replaces: BaselineRecord | None
    by: Maintainer


def approve(scenario_id: str, settings: Settings, *, now: datetime | None = None) -> Approved:
    """Make the run that the settings name the active baseline of the scenario in the run's environment.

    Raises ApprovalRefusedError with all reasons, and what `proposals.propose_baseline` raises. Nothing is written then.
    """
    maintainer = maintainer_of(settings)
    with approving(settings.baselines):
        trail = _trail(settings)
        at = _not_before(trail, now)
        proposal = propose_baseline(scenario_id, settings, maintainer, now=at)
        if proposal.reasons or proposal.record is None:
            raise ApprovalRefusedError(f"{scenario_id} is not approved:", proposal.reasons)
        record = proposal.record

        def entry(record_hash: str, bundle: Mapping[str, str]) -> AuditEntry:
            return AuditEntry(
                action=Action.APPROVE,
                at=at,
                by=maintainer.principal,
                rotation=maintainer.rotation,
                verified=maintainer.verified,
                scenario_id=scenario_id,
                key=comparison_key(record.fingerprint, record.host_class),
                baseline_id=record.baseline_id,
                record_sha256=record_hash,
                bundle=dict(bundle),
                run_id=proposal.run.run_id,
                reason=record.notes,
                parents=trail.heads,
            )

        path = write_approved(settings.baselines, record, proposal.bundle, entry, maintainer.sign)
    return Approved(record, path, proposal.replaces, maintainer)


def approve_as_asked(scenario_id: str, settings: Settings) -> str:
    """Approve, or with `dry_run` only look, and return what to say. Raises ApprovalRefusedError, also for a dry run."""
    if settings.dry_run:
        proposal = propose_baseline(scenario_id, settings, maintainer_of(settings), now=datetime.now(UTC))
        if proposal.reasons:
            raise ApprovalRefusedError(f"{scenario_id} would not be approved:", proposal.reasons)
        return f"{scenario_id} would be approved: {proposal.summary}"
    done = approve(scenario_id, settings)
    replaced = "" if done.replaces is None else f", in place of {done.replaces.baseline_id}"
    return (
        f"approved {done.record.baseline_id} by {done.by.principal} ({done.by.rotation}){replaced}\nwrote {done.path}"
    )


def retire(baseline_id: str, reason: str, settings: Settings, *, now: datetime | None = None) -> AuditEntry:
    """Retire an active baseline without a newer one, for example since its scenario is decommissioned.

    Raises ApprovalRefusedError when there is no such active baseline, there is no reason, or the user is no maintainer.
    """
    maintainer = maintainer_of(settings)
    with approving(settings.baselines):
        trail = _trail(settings)
        at = _not_before(trail, now)
        history = trail.baselines.get(baseline_id)
        if history is None:
            known = ", ".join(sorted(trail.baselines)) or "none"
            raise ApprovalRefusedError(
                f"{baseline_id} is not retired:", (f"there is no such baseline; known: {known}",)
            )
        try:
            baseline_after(history.status, [BaselineEvent.RETIRED])
        except IllegalTransitionError as error:
            raise ApprovalRefusedError(f"{baseline_id} is not retired:", (str(error),)) from None
        if not reason.strip():
            raise ApprovalRefusedError(f"{baseline_id} is not retired:", ("say why, with --reason",))
        entry = AuditEntry(
            action=Action.RETIRE,
            at=at,
            by=maintainer.principal,
            rotation=maintainer.rotation,
            verified=maintainer.verified,
            scenario_id=history.approval.entry.scenario_id,
            key=history.approval.entry.key,
            baseline_id=baseline_id,
            reason=reason,
            parents=trail.heads,
        )
        _append(settings, entry, maintainer)
    return entry


def acknowledge(
    scenario_id: str, until: date, reason: str, settings: Settings, *, now: datetime | None = None
) -> AuditEntry:
    """Let the regression that the run of the settings shows, and nothing worse, be green until a day.

    Raises ApprovalRefusedError with all reasons, RunNotFoundError when no such run of the scenario is recorded.
    """
    maintainer = maintainer_of(settings)
    with History.open(settings.output) as history:
        run, folder = recorded_run(history, settings.run, scenario_id)
    with approving(settings.baselines):
        trail = _trail(settings)
        at = _not_before(trail, now)
        reasons = [*artifact_problems(folder, run)]
        if run.status is not Status.REGRESSION:
            reasons.append(f"the run is {run.status} ({run.cause}); only a regression can be acknowledged")
        if until <= at.date():
            reasons.append(f"--until {until} is no day to come")
        if not reason.strip():
            reasons.append("say why, with --reason")
        if run.fingerprint is None:
            reasons.append("the run has no fingerprint, so that nothing could be told to be the same")
        if reasons or run.fingerprint is None:
            raise ApprovalRefusedError(f"the regression of {scenario_id} is not acknowledged:", tuple(reasons))
        counted = [trial for trial in run.trials if not trial.repeated]
        entry = AuditEntry(
            action=Action.ACKNOWLEDGE,
            at=at,
            by=maintainer.principal,
            rotation=maintainer.rotation,
            verified=maintainer.verified,
            scenario_id=scenario_id,
            key=comparison_key(run.fingerprint, host_class_of(run, portable=False)),
            run_id=run.run_id,
            reason=reason,
            acknowledged=what_is_known(run.cause, counted, run.comparison, until),
            parents=trail.heads,
        )
        _append(settings, entry, maintainer)
    return entry


def maintainer_of(settings: Settings) -> Maintainer:
    """The maintainer who runs this command. ApprovalRefusedError: nobody can be told, or the user is none."""
    return who_acts(settings, read_trust(FolderTree(settings.baselines), signing_of(settings)))


def _trail(settings: Settings) -> Trail:
    """The trail that a new entry goes on. Raises ApprovalRefusedError when it cannot be trusted."""
    trail = read_trail(FolderTree(settings.baselines))
    if trail.problems:
        raise ApprovalRefusedError(
            "the audit trail is broken, and nothing may be added to it:",
            tuple(f"{problem.name}: {problem.what}" for problem in trail.problems),
            hint="specbench baseline verify, and restore it from version control",
        )
    return trail


def _not_before(trail: Trail, now: datetime | None) -> datetime:
    """The time of a new entry. Raises ApprovalRefusedError when this machine's clock is behind the trail's."""
    at, newest = now or datetime.now(UTC), latest(trail.entries)
    if newest is not None and at < newest:
        raise ApprovalRefusedError(
            "nothing is written:",
            (f"this machine's clock ({at:%Y-%m-%d %H:%M}) is behind the newest entry ({newest})",),
        )
    return at


def _append(settings: Settings, entry: AuditEntry, maintainer: Maintainer) -> None:
    append(settings.baselines, entry, None if maintainer.sign is None else maintainer.sign(entry_bytes(entry)))
