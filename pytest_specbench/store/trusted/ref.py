"""What counts where a git ref is trusted, and what a change tried to alter in comparison with it.

A baseline folder has then two states: the one at the ref, which counts, and the work tree's, which is a proposal. Of
the proposal only this counts: new audit entries whose parents count, that a maintainer of the ref signed with a key
that the ref allows, together with the records and bundles that they name. So a pull request can carry its own approval,
and nobody can forge one by editing who may approve. When an entry of the ref is missing in the work tree, nothing that
is new there counts: history is added to, never rewritten. The key must be valid at the time of the entry and today, so
that one that has expired cannot sign for a day that is past.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pytest_specbench.core.approval.audit import Action, Filed, Problem, Trail
from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.core.transitions import BaselineStatus
from pytest_specbench.store.baselines.audit import AUDIT, SIGNATURE, not_by_a_maintainer, read_trail
from pytest_specbench.store.baselines.maintainers import MAINTAINERS
from pytest_specbench.store.baselines.records import removed_entries
from pytest_specbench.store.baselines.signers import ALLOWED_SIGNERS, REVOKED
from pytest_specbench.store.baselines.trust import Trust
from pytest_specbench.store.baselines.writing import PENDING
from pytest_specbench.store.git import commit_of, git, top_level
from pytest_specbench.store.trees import FolderTree, GitTree, OverlayTree, Tree, reason
from pytest_specbench.store.trusted.ini import Ini, read_ini

CLOCKS_DIFFER = timedelta(hours=1)
"""By how much another machine's clock may be ahead."""


@dataclass(frozen=True)
class TrustedRef:
    """A git ref that was resolved. Make it with `trusted_ref`."""

    repository: Path
    """Top of the work tree."""
    ref: str
    """As it was given."""
    commit: str
    """What it stood for then."""

    def inside(self, path: Path) -> str:
        """A path of the work tree, relative to its top. BlockedError(CONFIGURATION) when it lies outside."""
        # Links inside of the repository are not followed: the change could have made them, to lead the ref astray.
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve() follows links
        top = self.repository.resolve()
        for above in reversed((absolute, *absolute.parents)):
            if above.resolve() == top:
                relative = absolute.relative_to(above).as_posix()
                return "" if relative == "." else relative
        raise BlockedError(
            f"it lies outside of the repository, so that {self.ref} knows nothing of it",
            cause=Cause.CONFIGURATION,
            where=str(path),
            expected=f"a path in {self.repository}",
            hint="give another path, or no --specbench-trusted-ref",
        )

    def tree(self, folder: Path) -> GitTree:
        """A folder of the work tree, as it is at the ref."""
        return GitTree(self.repository, self.commit, self.inside(folder), called=self.ref)

    def ini(self, start: Path, *, file: Path | None = None) -> Ini:
        """pytest's configuration at the ref; see `store.ini.read_ini`. Its `root` is relative to `repository`."""
        named = None if file is None else self.inside(file)
        return read_ini(self.tree(self.repository), self.inside(start), file=named)


def trusted_ref(folder: Path, ref: str) -> TrustedRef:
    """Resolve a ref of the repository that holds `folder`. BlockedError(CONFIGURATION) when that is not possible."""
    repository = top_level(folder)
    return TrustedRef(repository, ref, commit_of(repository, ref))


@dataclass(frozen=True)
class Alteration:
    """Something that a change does to what decides about it."""

    about: str
    """Short: the file, value or scenario."""
    sentence: str
    """What it does, and what becomes of it."""
    kind: Literal["added", "changed", "removed"]
    blocks: bool = False
    """Whether nothing may be judged before it is undone: a scenario would escape its baseline."""
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


def ini_alterations(ref: TrustedRef, start: Path, *, file: Path | None = None) -> list[Alteration]:
    """What the work tree's configuration says otherwise than the ref's."""
    before = ref.ini(start, file=file)
    named = None if file is None else ref.inside(file)
    try:
        now = read_ini(FolderTree(ref.repository), ref.inside(start), file=named)
    except BlockedError as error:
        # pytest may read what is refused here, such as a link.
        sentence = f"it cannot be read any more: {reason(error)}"
        return [Alteration("pytest configuration", sentence, "changed", blocks=True)]
    found = []
    if before.path != now.path:
        moved = before.root != now.root
        sentence = f"pytest is configured by {now.path or 'no file'} instead of {before.path or 'no file'}" + (
            f", so that its rootdir is {now.root or '.'!r} instead of {before.root or '.'!r}, and baselines are looked "
            "for elsewhere: nothing is judged before that is undone"
            if moved
            else "; what that says of specbench does not count"
        )
        found.append(Alteration("pytest configuration", sentence, "changed", blocks=moved))
    for name in sorted({*before.values, *now.values}):
        old, new = before.values.get(name), now.values.get(name)
        if old != new:
            how = kind(old, new)
            sentence = f"{name} is {_shown(new)} in {now.path or 'no file'}; {_shown(old)} at {ref.ref} counts"
            found.append(Alteration(name, sentence, how))
    # Any of these can keep a scenario from being collected, and the ref's cannot be put in their place: pytest acted on
    # them before, and addopts look like the command line's, which is CI's word.
    for name in ["addopts", *sorted({*before.others, *now.others})]:
        old, new = ((ini.addopts or None) if name == "addopts" else ini.others.get(name) for ini in (before, now))
        if old != new:
            sentence = (
                f"{name} is {_shown(new)} in {now.path or 'no file'}, and {_shown(old)} at {ref.ref}; it can decide "
                "what is run, so nothing is judged: put it into a change of its own"
            )
            found.append(Alteration(name, sentence, kind(old, new), blocks=True))
    return found


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
            yield Alteration(path, f"{path} cannot be read any more: {reason(error)}", "changed", False, scenario_id)
            continue
        if old != new:
            how = kind(old, new)
            what = "what counts is as before" if how != "added" else "it does not count"
            yield Alteration(
                path, f"{path} is {how} in comparison with {trusted.label}; {what}", how, False, scenario_id
            )


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
    return Alteration(f"{AUDIT}/{filed.name}", f"{what}, and that {becomes}", "added", False, entry.scenario_id)


def active_scenarios(trail: Trail) -> set[str]:
    """The scenarios that have an active baseline."""
    return {
        history.approval.entry.scenario_id
        for history in trail.baselines.values()
        if history.status is BaselineStatus.ACTIVE
    }


def kind(old: object, new: object) -> Literal["added", "changed", "removed"]:
    """What became of something; None stands for nothing."""
    return "added" if old is None else "removed" if new is None else "changed"


def _shown(value: object) -> str:
    return "not set" if value is None else repr(value)
