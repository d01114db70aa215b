"""The audit folder: one immutable file an entry, with its signature beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import ValidationError

from pytest_specbench.core.approval.audit import (
    Action,
    AuditEntry,
    Filed,
    Problem,
    Trail,
    entry_bytes,
    entry_name,
    follow,
    sha256,
)
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.json_text import parse_json
from pytest_specbench.core.text import one_line
from pytest_specbench.store.baselines.files import new_file, replace_file
from pytest_specbench.store.baselines.signing import SignatureError, intact, verify
from pytest_specbench.store.baselines.trust import Signing, Trust, read_trust
from pytest_specbench.store.trees import Tree, reason

__all__ = [
    "AUDIT",
    "SIGNATURE",
    "Signing",
    "Trust",
    "append",
    "broken_signatures",
    "not_by_a_maintainer",
    "parse_entry",
    "read_trail",
    "read_trust",
    "unsigned",
]

AUDIT = "audit"
SIGNATURE = ".sig"


def read_trail(tree: Tree) -> Trail:
    """All entries, in their order. What is wrong with one of them is among the trail's problems.

    BlockedError(BASELINE_INVALID) when something else stands in the place of the folder.
    """
    names = tree.names(AUDIT)
    while True:
        trail = _trail(tree, names)
        again = tree.names(AUDIT) if trail.problems else names
        if again == names:
            return trail
        names = again  # somebody added to it meanwhile, so that a child may have been listed without its parent


def _trail(tree: Tree, names: Sequence[str]) -> Trail:
    filed: list[Filed] = []
    broken: list[Problem] = []
    for name in names:
        if not name.endswith(".json") or name.startswith("."):
            continue
        try:
            data = tree.read(f"{AUDIT}/{name}") or b""
            filed.append(Filed(name, sha256(data), parse_entry(data)))
        except BlockedError as error:
            broken.append(Problem(name, reason(error)))
        except ValueError as error:
            broken.append(Problem(name, one_line(f"it is no audit entry: {_first(error)}")))
    trail = follow(filed)
    return Trail(trail.entries, (*broken, *trail.problems), trail.baselines)


def parse_entry(data: bytes) -> AuditEntry:
    """The entry that a file holds. Raises ValueError, also when a key is there twice: readers could differ on it."""
    try:
        return AuditEntry.model_validate(parse_json(data))
    except (ArithmeticError, LookupError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def append(root: Path, entry: AuditEntry, signature: bytes | None) -> Path:
    """Add an entry to the audit folder below `root`: the signature first, then the entry itself, wholly or not at all.

    Returns its path. FileExistsError: it is there already. Call it inside of `approving`.
    """
    data = entry_bytes(entry)
    path = root / AUDIT / entry_name(entry, sha256(data))
    if path.exists():
        raise FileExistsError(f"{path} is there already")
    if signature is not None:
        replace_file(path.with_name(path.name + SIGNATURE), signature)
    new_file(path, data)
    return path


def unsigned(
    tree: Tree, trail: Trail, trust: Trust, *, scenario_id: str | None = None, today: date | None = None
) -> list[Problem]:
    """What the trust does not accept of the entries of one scenario, or of all.

    `required`: everything in force needs a good signature of a maintainer. `optional`: only what says that it is
    verified. `off`: nothing does. In force is every entry but an acknowledgement that is over, but an approval or a
    retirement that came before the newest accepted approval of the same scenario and key: that one replaced whatever
    those did; and but an approval whose baseline was retired or superseded by an entry that is accepted, or that is
    itself not in force. So what was approved before signing was required, or with a key that was revoked since, is
    mended by approving anew, or by retiring. Superseded is what `audit.supersede` has found.
    """
    if trust.signing == "off":
        return []
    now = today or datetime.now(UTC).date()
    problems: list[Problem] = []
    settled: set[tuple[str, str]] = set()
    ended: set[tuple[str, str]] = set()
    over_with: set[str] = set()  # names of the entries that are accepted, or not in force
    for filed in reversed(trail.entries):
        entry = filed.entry
        key = (entry.scenario_id, entry.key)
        over = entry.acknowledged is not None and (now >= entry.acknowledged.until or key in ended)
        retired_by = _retired_by(trail, filed)
        replaced = entry.acknowledged is None and (key in settled or retired_by in over_with)
        if over or replaced or scenario_id not in (None, entry.scenario_id):
            over_with.add(filed.name)
            continue
        why = _unacceptable(tree, filed, trust)
        if why:
            problems.append(Problem(filed.name, why))
            continue
        over_with.add(filed.name)
        if entry.action is Action.APPROVE:
            settled.add(key)
            ended.add(key)
        elif entry.action is Action.WITHDRAW:
            ended.add(key)
    return problems[::-1]


def _retired_by(trail: Trail, filed: Filed) -> str | None:
    """The name of the entry that ended the baseline which an entry approved; None where none did."""
    if filed.entry.action is not Action.APPROVE or filed.entry.baseline_id is None:
        return None
    history = trail.baselines.get(filed.entry.baseline_id)
    by = None if history is None or history.approval.name != filed.name else history.retired_by
    return None if by is None else by.name


def not_by_a_maintainer(tree: Tree, filed: Filed, trust: Trust, *, at: datetime | None = None) -> str:
    """Why an entry is not signed by a maintainer with a key that is theirs at a time, by default the entry's; empty
    when it is.
    """
    entry = filed.entry
    try:
        signature = tree.read(f"{AUDIT}/{filed.name}{SIGNATURE}")
        data = tree.read(f"{AUDIT}/{filed.name}")
    except BlockedError as error:
        return f"its signature cannot be read: {reason(error)}"
    if signature is None or data is None:
        return f"it is not signed, by {entry.by} or anybody"
    if trust.allowed_signers is None:
        return "its signature cannot be verified: there is no allowed_signers in the baseline folder"
    if sha256(data) != filed.sha256:
        return "it was altered while it was looked at"
    try:
        verify(
            data,
            signature,
            allowed_signers=trust.allowed_signers,
            principal=entry.by,
            at=at or entry.at,
            revoked=trust.revoked,
        )
    except SignatureError as error:
        return error.message
    if entry.by not in trust.maintainers.people:
        return f"{entry.by} is no maintainer by {trust.maintainers.label}"
    return ""


def broken_signatures(tree: Tree, trail: Trail) -> Iterator[Problem]:
    """Signature files that are not of their entry, whoever made them and whatever became of their keys."""
    files = {f"{filed.name}{SIGNATURE}": filed for filed in trail.entries}
    for name in tree.names(AUDIT):
        filed = files.get(name)
        if filed is None:
            continue
        try:
            data, signature = tree.read(f"{AUDIT}/{filed.name}"), tree.read(f"{AUDIT}/{name}")
            good = data is not None and signature is not None and intact(data, signature)
        except (BlockedError, SignatureError) as error:
            yield Problem(filed.name, f"its signature cannot be looked at: {error.message}")
        else:
            if not good:
                yield Problem(filed.name, "its signature is of something else: one of the two was altered")


def _unacceptable(tree: Tree, filed: Filed, trust: Trust) -> str:
    if trust.signing == "optional" and not filed.entry.verified:
        return ""
    return not_by_a_maintainer(tree, filed, trust)


def _first(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
