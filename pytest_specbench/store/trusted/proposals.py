"""Approvals that a change proposes: which of them count where a git ref is trusted.

A baseline folder has then two states: the one at the ref, which counts, and the work tree's, which is a proposal. Of
the proposal only this counts: new audit entries whose parents count, that a maintainer of the ref signed with a key
that the ref allows, together with the records and bundles that they name. So a pull request can carry its own approval,
and nobody can forge one by editing who may approve. When an entry of the ref is missing in the work tree, nothing that
is new there counts: history is added to, never rewritten. The key must be valid at the time of the entry and today, so
that one that has expired cannot sign for a day that is past.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pytest_specbench.core.approval.audit import Action, Filed, Problem, Trail
from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.git import git
from pytest_specbench.store.baselines.audit import AUDIT, SIGNATURE, not_by_a_maintainer, read_trail
from pytest_specbench.store.baselines.maintainers import MAINTAINERS
from pytest_specbench.store.baselines.records import removed_entries
from pytest_specbench.store.baselines.signers import ALLOWED_SIGNERS, REVOKED
from pytest_specbench.store.baselines.trust import Trust
from pytest_specbench.store.baselines.writing import PENDING
from pytest_specbench.store.trees import GitTree, OverlayTree, Tree, reason

CLOCKS_DIFFER = timedelta(hours=1)
"""By how much another machine's clock may be ahead."""


@dataclass(frozen=True)
class Alteration:
    """Something that a change does to what decides about it."""

    about: str
    """Short: the file, value or scenario."""
    sentence: str
    """What it does, and what becomes of it."""
    kind: Literal["added", "changed", "removed"]
    scenario_id: str | None = None
    """The scenario that it is about; None: all of them."""


def what_counts(work: Tree, trusted: GitTree, trust: Trust) -> tuple[Tree, list[Alteration]]:
    """The baseline folder to read from, and what is different in the work tree. `trust` is the ref's.

    BlockedError(BASELINE_INVALID) when the trusted folder's trail is broken.
    """
    now = read_trail(work)
    removed = removed_entries(now, trusted)
    before = read_trail(trusted)
    found = [*_trail_alterations(now, removed), *_file_alterations(work, trusted, before)]
    known = {filed.sha256 for filed in before.entries}
    added: set[str] = set()
    for filed in now.entries:
        if filed.sha256 in known:
            continue
        why = _why_not(work, filed, trust, known, removed) or _not_from_here(work, filed, trusted, before)
        if not why:
            known.add(filed.sha256)
            added |= set(_files(work, filed))
        found.append(_proposed(filed, why))
    return (OverlayTree(trusted, work, added) if added else trusted), found


def _trail_alterations(now: Trail, removed: list[Problem]) -> Iterator[Alteration]:
    for problem in removed:
        yield Alteration(f"{AUDIT}/{problem.name}", f"the audit entry {problem.name}: {problem.what}", "removed")
    for problem in now.problems:
        yield Alteration(f"{AUDIT}/{problem.name}", f"the audit entry {problem.name}: {problem.what}", "changed")


def _file_alterations(work: Tree, trusted: Tree, before: Trail) -> Iterator[Alteration]:
    """Files that decide, and records that were approved at the ref."""
    names = {MAINTAINERS: None, ALLOWED_SIGNERS: None, REVOKED: None}
    records = {
        f"{history.approval.entry.scenario_id}/{baseline_id}.json": history.approval.entry.scenario_id
        for baseline_id, history in before.baselines.items()
    }
    signatures = {f"{AUDIT}/{filed.name}{SIGNATURE}": None for filed in before.entries}
    for path, scenario_id in {**names, **records, **signatures}.items():
        old = trusted.read(path)
        try:
            new = work.read(path)
        except BlockedError as error:
            yield Alteration(path, f"{path} cannot be read any more: {reason(error)}", "changed", scenario_id)
            continue
        if old != new:
            how = kind(old, new)
            what = "what counts is as before" if how != "added" else "it does not count"
            yield Alteration(path, f"{path} is {how} in comparison with {trusted.label}; {what}", how, scenario_id)


def _not_from_here(work: Tree, filed: Filed, trusted: GitTree, before: Trail) -> str:
    """Why a new entry that follows no other may have been made for another repository; empty for every other entry."""
    entry = filed.entry
    if entry.parents:
        return ""
    if before.entries:
        return f"it follows no entry, though {trusted.label} has some: it may be another repository's; approve anew"
    if entry.action is not Action.APPROVE:
        return ""
    path = f"{entry.scenario_id}/{entry.baseline_id}.json"
    data = work.read(path) or work.read(path + PENDING) or b""
    try:
        commit = BaselineRecord.model_validate_json(data).commit_sha
    except ValueError:
        return "its record cannot be read"
    there = (
        commit is not None
        and commit.isalnum()
        and not git(trusted.repository, "cat-file", "-e", f"{commit}^{{commit}}").code
    )
    return (
        ""
        if there
        else (
            f"the commit {commit} of the run that it approves is not known here: it may be another repository's; "
            "fetch the whole history"
        )
    )


def _why_not(work: Tree, filed: Filed, trust: Trust, known: set[str], removed: list[Problem]) -> str:
    """Why a new entry does not count; empty when it does."""
    if trust.signing == "off":
        return "signatures are not looked at (specbench_signing), and without them anybody could have written it"
    if removed:
        return "entries that came before it were removed"
    if any(parent not in known for parent in filed.entry.parents):
        return "an entry that came before it does not count"
    now = datetime.now(UTC)
    if filed.entry.at > now + CLOCKS_DIFFER:
        return "it is of a time to come"
    # A key that has expired since could else sign anew, for a time at which it was valid.
    why = not_by_a_maintainer(work, filed, trust) or not_by_a_maintainer(work, filed, trust, at=now)
    if not why and filed.entry.rotation not in trust.maintainers.people[filed.entry.by]:
        why = f"{filed.entry.by} is not of the rotation {filed.entry.rotation!r} by {trust.maintainers.label}"
    return why


def _files(work: Tree, filed: Filed) -> Iterator[str]:
    """The files that come with an entry that counts."""
    entry = filed.entry
    yield f"{AUDIT}/{filed.name}"
    yield f"{AUDIT}/{filed.name}{SIGNATURE}"
    if entry.action is Action.APPROVE:
        record = f"{entry.scenario_id}/{entry.baseline_id}"
        yield f"{record}.json"
        if work.read(f"{record}.json") is None:
            yield f"{record}.json{PENDING}"
        yield from (f"{record}/{name}" for name in entry.bundle)


def _proposed(filed: Filed, why: str) -> Alteration:
    entry = filed.entry
    what = f"{entry.by} {entry.action}s {entry.baseline_id or 'a regression'} of {entry.scenario_id}"
    becomes = f"does not count: {why}" if why else "counts: it is signed by a maintainer whom the ref knows"
    return Alteration(f"{AUDIT}/{filed.name}", f"{what}, and that {becomes}", "added", entry.scenario_id)


def kind(old: object, new: object) -> Literal["added", "changed", "removed"]:
    """What became of something; None stands for nothing."""
    return "added" if old is None else "removed" if new is None else "changed"
