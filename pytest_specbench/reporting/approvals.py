"""Baselines and proposed ones as text: what an approval changes, side by side, and what became of each record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from pytest_specbench.approvals.proposals import Proposal
from pytest_specbench.core.approval.audit import BaselineHistory, Filed, Trail
from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.metrics import METRICS, MetricSummary
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.transitions import BaselineStatus
from pytest_specbench.reporting.text import aligned, printable
from pytest_specbench.reporting.values import UNKNOWN, show_delta, show_value
from pytest_specbench.store.baselines.records import Baselines


def proposal_text(proposal: Proposal) -> str:
    """What an approval would do: old and proposed side by side, the runs it rests on, and why it is refused."""
    lines = [f"run {proposal.run.run_id} of {proposal.run.executed_at:%Y-%m-%d %H:%M} UTC: {proposal.run.status}"]
    if proposal.record is not None:
        lines += ["", *_side_by_side(proposal.replaces, proposal.record)]
    runs = [f"{one.run_id} {one.executed_at:%Y-%m-%d %H:%M} {one.status}" for one in proposal.streak.runs]
    lines += ["", f"consecutive passing runs: {len(runs)}", *(f"  {line}" for line in runs)]
    if proposal.reasons:
        lines += ["", "refused:", *(f"  - {printable(reason)}" for reason in proposal.reasons)]
    return "\n".join(lines)


def difference_text(old: BaselineRecord, new: BaselineRecord) -> str:
    """Two records side by side."""
    return "\n".join(_side_by_side(old, new))


def record_text(record: BaselineRecord, history: BaselineHistory) -> str:
    """One record, and what became of it."""
    entry = history.approval.entry
    facts = [
        ("baseline", record.baseline_id),
        ("status", history.status.value),
        ("scenario", record.scenario_id),
        ("dataset", record.dataset_version),
        ("host class", record.host_class),
        ("approved", f"{entry.at:%Y-%m-%d %H:%M} UTC by {entry.by} ({entry.rotation}), {_proof(history)}"),
        ("why", record.notes or UNKNOWN),
        ("rests on", ", ".join(str(run_id) for run_id in record.run_ids)),
        ("commit", record.commit_sha or UNKNOWN),
        ("supersedes", record.supersedes_baseline_id or UNKNOWN),
        ("expires", UNKNOWN if record.expires_on is None else str(record.expires_on)),
    ]
    if history.retired_by is not None:
        by = history.retired_by.entry
        facts.append(("retired", f"{by.at:%Y-%m-%d %H:%M} UTC by {by.by}: {_why_retired(history)}"))
    rows: list[tuple[str, ...]] = [("metric", "value", "low", "high", "trials")]
    rows += [
        (name, *(show_value(name, value) for value in (one.value, one.low, one.high)), str(len(one.values)))
        for name, one in record.metrics.items()
    ]
    lines = aligned([(name, printable(value)) for name, value in facts])
    return "\n".join([*lines, "", *aligned(rows), "", "under test:", *_facts(record.fingerprint.subject)])


def list_text(baselines: Baselines, candidates: Mapping[str, str], today: date) -> str:
    """Every baseline, oldest first, with what it counts for; then the acknowledgements and whether they hold; then what
    the history of runs would allow.

    `candidates`: for each scenario how far its newest run is on its way, in a few words.
    """
    rows = [("baseline", "status", "scenario", "approved", "by", "proof", "for")]
    for baseline_id, history in baselines.trail.baselines.items():
        entry, record = history.approval.entry, baselines.records[baseline_id]
        status = "expired" if is_expired(history, record, today) else history.status.value
        approved = (f"{entry.at:%Y-%m-%d}", entry.by, _proof(history))
        rows.append((baseline_id, status, entry.scenario_id, *approved, "; ".join(what_for(record).values())))
    shown = aligned([tuple(map(printable, row)) for row in rows])
    lines = shown if baselines.trail.baselines else ["no baseline was approved yet"]
    known = [filed for filed in baselines.trail.entries if filed.entry.acknowledged is not None]
    if known:
        lines += ["", "acknowledged regressions:"]
        lines += aligned([_acknowledged(filed, baselines.trail, today) for filed in known])
    if candidates:
        lines += ["", "candidates:", *(f"  {printable(name)}: {printable(how)}" for name, how in candidates.items())]
    return "\n".join(lines)


def what_for(record: BaselineRecord) -> dict[str, str]:
    """What a baseline is compared with: runs in this sandbox, of this agent, model and host class, where it says so."""
    found = {name: record.fingerprint.instrument.get(name) for name in ("sandbox", "agent", "model")}
    return {name: str(value) for name, value in {**found, "host_class": record.host_class}.items() if value is not None}


def is_expired(history: BaselineHistory, record: BaselineRecord, today: date) -> bool:
    """Whether a baseline is active, and a run is blocked all the same, for its day is over."""
    return history.status is BaselineStatus.ACTIVE and record.expires_on is not None and today >= record.expires_on


def _acknowledged(filed: Filed, trail: Trail, today: date) -> tuple[str, ...]:
    entry = filed.entry
    if entry.acknowledged is None:
        return ()
    until = entry.acknowledged.until
    if today >= until:
        state = f"over since {until}"
    elif filed in trail.acknowledgements(entry.scenario_id, {entry.key}, today):
        state = f"until {until}"
    else:
        state = "ended"  # withdrawn, or a newer baseline was approved
    return (
        f"  {printable(entry.scenario_id)}",
        state,
        entry.acknowledged.cause.value,
        printable(f"by {entry.by}: {entry.reason}"),
    )


def _side_by_side(old: BaselineRecord | None, new: BaselineRecord) -> list[str]:
    left = "(none)" if old is None else old.baseline_id
    rows = [("metric", left, new.baseline_id, "delta", "trials")]
    before: Mapping[str, MetricSummary] = {} if old is None else old.metrics
    for name in METRICS:
        if name not in before and name not in new.metrics:
            continue
        then, now = before.get(name), new.metrics.get(name)
        rows.append(
            (
                name + ("" if name in new.metrics_tracked else " (not tracked)"),
                show_value(name, then.value if then else None),
                show_value(name, now.value if now else None),
                show_delta(_change(then, now)),
                f"{len(then.values) if then else 0} -> {len(now.values) if now else 0}",
            )
        )
    lines = aligned([tuple(map(printable, row)) for row in rows])
    for title, side in (("instrument", "instrument"), ("under test", "subject"), ("host", "host")):
        changed = _changes({} if old is None else getattr(old.fingerprint, side), getattr(new.fingerprint, side))
        if old is not None and changed:
            lines += ["", f"{title}:", *changed]
    return lines


def _change(then: MetricSummary | None, now: MetricSummary | None) -> float | None:
    values = [None if one is None else one.value for one in (then, now)]
    if any(value is None or isinstance(value, bool) for value in values) or not values[0]:
        return None
    before, after = (float(value) for value in values if value is not None)
    return (after - before) / abs(before) * 100


def _changes(before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> list[str]:
    return [
        f"  {printable(name)}: {_scalar(before.get(name))} -> {_scalar(after.get(name))}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _facts(facts: Mapping[str, Scalar]) -> Sequence[str]:
    return [f"  {printable(name)}: {_scalar(value)}" for name, value in facts.items()] or [f"  {UNKNOWN}"]


def _scalar(value: Scalar) -> str:
    return UNKNOWN if value is None else printable(str(value))


def _proof(history: BaselineHistory) -> str:
    return "signed" if history.approval.entry.verified else "not signed"


def _why_retired(history: BaselineHistory) -> str:
    entry = None if history.retired_by is None else history.retired_by.entry
    if entry is None:
        return UNKNOWN
    itself = entry.baseline_id == history.approval.entry.baseline_id
    return entry.reason if itself else f"superseded by {entry.baseline_id}"
