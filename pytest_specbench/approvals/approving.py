"""Baselines are made by maintainers and never by a run: a recorded run becomes one, or one retires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_specbench.approvals.decisions import deciding, maintainer_of
from pytest_specbench.approvals.proposals import propose_baseline
from pytest_specbench.core.approval.audit import Action, AuditEntry, comparison_key
from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.errors import ApprovalRefusedError
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.transitions import BaselineEvent, IllegalTransitionError, baseline_after
from pytest_specbench.store.baselines.identity import Maintainer
from pytest_specbench.store.baselines.records import write_approved


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

    Raises ApprovalRefusedError with all reasons, and RunNotFoundError. Nothing is written then.
    """
    with deciding(settings, now) as decision:
        proposal = propose_baseline(scenario_id, settings, decision.by, now=decision.at)
        if proposal.reasons or proposal.record is None:
            raise ApprovalRefusedError(f"{scenario_id} is not approved:", proposal.reasons)
        record = proposal.record

        def entry(record_hash: str, bundle: Mapping[str, str]) -> AuditEntry:
            return decision.entry(
                action=Action.APPROVE,
                scenario_id=scenario_id,
                key=comparison_key(record.fingerprint, record.host_class),
                baseline_id=record.baseline_id,
                record_sha256=record_hash,
                bundle=dict(bundle),
                run_id=proposal.run.run_id,
                reason=record.notes,
            )

        path = write_approved(settings.baselines, record, proposal.bundle, entry, decision.by.sign)
    return Approved(record, path, proposal.replaces, decision.by)


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
    with deciding(settings, now) as decision:
        reasons: list[str] = []
        history = decision.trail.baselines.get(baseline_id)
        if history is None:
            reasons.append(f"there is no such baseline; known: {', '.join(sorted(decision.trail.baselines)) or 'none'}")
        else:
            try:
                baseline_after(history.status, [BaselineEvent.RETIRED])
            except IllegalTransitionError as error:
                reasons.append(str(error))
        if not reason.strip():
            reasons.append("say why, with --reason")
        if reasons or history is None:
            raise ApprovalRefusedError(f"{baseline_id} is not retired:", tuple(reasons))
        approval = history.approval.entry
        entry = decision.entry(
            action=Action.RETIRE,
            scenario_id=approval.scenario_id,
            key=approval.key,
            baseline_id=baseline_id,
            reason=reason,
        )
        return decision.record(entry)
