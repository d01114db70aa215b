"""Writing an approval, so that a crash at any point leaves the old state or the new one."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_specbench.core.approval.audit import Action, AuditEntry, Trail, comparison_key, entry_bytes, latest, sha256
from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.errors import ApprovalRefusedError
from pytest_specbench.store.baselines.audit import AUDIT, SIGNATURE, append, read_trail
from pytest_specbench.store.baselines.files import TEMPORARY, make_folder, move, replace_file, sync
from pytest_specbench.store.trees import FolderTree

PENDING = ".pending"
WAIT_SEC = 300
_BUNDLED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")


@contextmanager
def approving(root: Path) -> Iterator[None]:
    """Nobody else on this machine adds to the audit trail below `root` meanwhile, or removes runs that it may name.
    What an approval that was killed left is completed or removed first. ApprovalRefusedError when another approval
    takes minutes.
    """
    with alone(root):
        tidy(root)
        yield


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """The lock of `approving`, and nothing else: nothing below `root` is looked at or written."""
    # The mutex lies outside of the repository: it would be an untracked file in it.
    digest = hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    mutex = FileLock(Path(tempfile.gettempdir()) / f"specbench-{os.getuid()}-{digest}.approving.mutex")
    try:
        mutex.acquire(timeout=WAIT_SEC)
    except Timeout:
        reason = f"another approval in {root} is going on since {WAIT_SEC} s or more"
        raise ApprovalRefusedError("nothing was done", (reason,), hint="wait for it, or end it") from None
    try:
        yield
    finally:
        mutex.release()


def write_approved(
    root: Path,
    record: BaselineRecord,
    bundle: Mapping[str, bytes],
    make_entry: Callable[[str, dict[str, str]], AuditEntry],
    sign: Callable[[bytes], bytes] | None,
) -> Path:
    """Write record, bundle and audit entry, and return the record's path. Call it inside of `approving`.

    `bundle` are the files that are kept beside the record, by name; `make_entry` is given the hash of the record and
    those of the bundle's files, `sign` the entry's bytes. Raises FileExistsError when there is such a baseline already,
    ApprovalRefusedError when the newest entry is of later than now, ValueError when record, bundle and entry do not fit
    each other; nothing is changed then, nor when `sign` raises.
    """
    data = record_bytes(record)
    hashes = {name: sha256(content) for name, content in sorted(bundle.items())}
    _check_bundle(record, hashes)
    trail = read_trail(FolderTree(root))
    path = root / record.scenario_id / f"{record.baseline_id}.json"
    if path.exists() or record.baseline_id in trail.baselines:
        raise FileExistsError(f"there is a baseline {record.baseline_id} already")
    entry = make_entry(sha256(data), hashes)
    check_next(trail, entry)
    _check_entry(entry, record, sha256(data), hashes)
    signature = None if sign is None else sign(entry_bytes(entry))
    pending = path.with_name(path.name + PENDING)
    try:
        if bundle:
            _write_bundle(path.with_suffix(""), bundle)
        replace_file(pending, data)
        append(root, entry, signature)
    except Exception:
        tidy(root)
        raise
    move(pending, path)
    return path


def record_bytes(record: BaselineRecord) -> bytes:
    """The file of a record, byte for byte; this is what its audit entry has the hash of."""
    return (record.model_dump_json(indent=2) + "\n").encode()


def check_next(trail: Trail, entry: AuditEntry) -> None:
    """Whether `entry` may follow: nothing is wrong with the trail, and nothing in it is newer (ApprovalRefusedError),
    and the entry's parents are the heads (ValueError). `append` does not look.
    """
    if trail.problems:
        reasons = tuple(f"{problem.name}: {problem.what}" for problem in trail.problems)
        raise ApprovalRefusedError("the audit trail is broken", reasons, hint="specbench baseline verify")
    if entry.parents != trail.heads:
        raise ValueError(
            f"the entry's parents are not the heads {trail.heads}, which must be read inside of approving()"
        )
    newest = latest(trail.entries)
    if newest is not None and entry.at < newest:
        reason = (
            f"it is {entry.at:%Y-%m-%d %H:%M:%S} here, and the newest audit entry is of {newest:%Y-%m-%d %H:%M:%S} UTC"
        )
        raise ApprovalRefusedError("not approved", (reason,), hint="set the clock of this machine; date -u")


def tidy(root: Path) -> None:
    """Complete the approvals whose entry was written, and remove what is left of others that were killed. Call it with
    the lock held. Touches nothing but temporary files, pending records, signatures and bundles that no entry names.
    """
    if not _is_folder(root):
        return
    trail = read_trail(FolderTree(root))
    if trail.problems:
        return  # who knows what the entries name that cannot be read; nothing is approved before that is mended
    if _is_folder(root / AUDIT):
        _tidy_audit(root / AUDIT)
    for folder in sorted(root.iterdir()):
        if folder.name != AUDIT and _is_folder(folder):
            approved = {
                name: history.approval.entry.record_sha256 or ""
                for name, history in trail.baselines.items()
                if history.approval.entry.scenario_id == folder.name
            }
            _tidy_scenario(folder, approved)


def _tidy_audit(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    for name in names:
        orphan = name.endswith(f".json{SIGNATURE}") and name.removesuffix(SIGNATURE) not in names
        if orphan or _is_temporary(name):
            (folder / name).unlink()


def _tidy_scenario(folder: Path, approved: Mapping[str, str]) -> None:
    for path in sorted(folder.iterdir()):
        if path.name.endswith(f".json{PENDING}"):
            record = path.with_name(path.name.removesuffix(PENDING))
            if _is_named(path, approved.get(record.stem)) and not record.exists():
                move(path, record)
            else:
                path.unlink()
        elif _is_temporary(path.name):
            shutil.rmtree(path) if _is_folder(path) else path.unlink()
    records = {path.stem for path in folder.glob("*.json")} | set(approved)
    for path in sorted(folder.iterdir()):
        if path.name.startswith(f"{folder.name}-") and _is_folder(path) and path.name not in records:
            shutil.rmtree(path)


def _is_named(path: Path, digest: str | None) -> bool:
    return path.is_file() and not path.is_symlink() and sha256(path.read_bytes()) == digest


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(TEMPORARY)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _write_bundle(folder: Path, bundle: Mapping[str, bytes]) -> None:
    """The whole bundle appears at once, under its name."""
    temporary = folder.with_name(f".{folder.name}{TEMPORARY}")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # of an approval that was killed: no entry names it
    make_folder(temporary)
    for name, content in bundle.items():
        replace_file(temporary / name, content)
    move(temporary, folder)
    sync(folder)


def _check_bundle(record: BaselineRecord, hashes: Mapping[str, str]) -> None:
    odd = [name for name in hashes if not _BUNDLED.fullmatch(name)]
    if odd:
        raise ValueError(f"{odd[0]!r} is no name of a file in a bundle")
    kept = {name: file.sha256 for name, file in record.bundle.items() if file.uri is None}
    if kept != hashes:
        raise ValueError(
            f"the record's bundle has {_names(kept)}, and {_names(hashes)} are given, or their hashes differ"
        )


def _check_entry(entry: AuditEntry, record: BaselineRecord, digest: str, hashes: Mapping[str, str]) -> None:
    if entry.action is not Action.APPROVE or entry.record_sha256 != digest or dict(entry.bundle) != dict(hashes):
        raise ValueError("the entry does not approve the record and bundle that it was made for")
    why = contradiction(entry, record)
    if why:
        raise ValueError(f"entry and record do not fit: {why}")


def contradiction(entry: AuditEntry, record: BaselineRecord) -> str:
    """In what an approval and its record contradict each other; empty when in nothing."""
    pairs = {
        "baseline id": (entry.baseline_id, record.baseline_id),
        "scenario": (entry.scenario_id, record.scenario_id),
        "key": (entry.key, comparison_key(record.fingerprint, record.host_class)),
        "run": (entry.run_id, record.run_ids[-1] if record.run_ids else None),
        "approver": (entry.by, record.approved_by),
        "rotation": (entry.rotation, record.rotation),
    }
    return "; ".join(f"another {name}: {mine} and {its}" for name, (mine, its) in pairs.items() if mine != its)


def _names(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
