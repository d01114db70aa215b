"""Baseline folders with real audit trails, and people with real SSH keys."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from core_samples import baseline

from pytest_specbench.core.approval.audit import Acknowledged, Action, AuditEntry, comparison_key, entry_bytes, sha256
from pytest_specbench.core.approval.baselines import BaselineRecord, BundledFile
from pytest_specbench.core.status import Cause
from pytest_specbench.store.baselines.audit import append, read_trail
from pytest_specbench.store.baselines.maintainers import Maintainers
from pytest_specbench.store.baselines.records import Trust, approving, write_approved
from pytest_specbench.store.baselines.signing import sign
from pytest_specbench.store.trees import FolderTree

MARA, BEN = "mara@example.org", "ben@example.org"
ROTATION = "workflow-maintainers"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)

ANYBODY = Trust("off")
"""Trust that looks at no signature."""

BUNDLE = {"summary.json": b"{}\n", "agent.cast": b'{"version": 2}\n'}


@dataclass(frozen=True)
class Person:
    """Somebody with a key pair."""

    name: str
    key: Path
    """The private key; the public one is beside it."""

    @property
    def public(self) -> str:
        """Type and base64 of the public key."""
        return " ".join(self.key.with_name(self.key.name + ".pub").read_text("utf-8").split()[:2])

    def line(self, options: str = 'namespaces="specbench"') -> str:
        """Their line of allowed_signers."""
        return f"{self.name} {options} {self.public}\n"

    def sign(self, data: bytes) -> bytes:
        """Their signature."""
        return sign(data, str(self.key))


def needs(program: str) -> None:
    """Skip where a program is missing, or fail where SPECBENCH_REQUIRE_ENGINE=1."""
    if shutil.which(program) is None:
        message = f"{program} is not installed"
        if os.environ.get("SPECBENCH_REQUIRE_ENGINE") == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


def person(folder: Path, name: str, *, passphrase: str = "", file: str | None = None) -> Person:
    """Make somebody a key."""
    needs("ssh-keygen")
    key = folder / (file or name.partition("@")[0])
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(key)], check=True, timeout=60
    )
    return Person(name, key)


def trust(signing: str, *people: Person, revoked: bytes | None = None) -> Trust:
    """Trust in these people, who are maintainers."""
    return Trust(
        signing,  # type: ignore[arg-type]
        Maintainers({one.name: (ROTATION,) for one in people}),
        "".join(one.line() for one in people).encode(),
        revoked,
    )


def record_of(
    number: int, *, scenario: str = "s", by: str = MARA, bundle: Mapping[str, bytes] = BUNDLE, **fields: object
) -> BaselineRecord:
    """The record of an approval; each number is another run and another day."""
    described = {name: BundledFile(sha256=sha256(data), size=len(data)) for name, data in bundle.items()}
    return baseline(
        f"{scenario}-2026-03-{number:02d}-{number:08x}",
        **{
            "scenario_id": scenario,
            "approved_by": by,
            "rotation": ROTATION,
            "run_ids": (UUID(int=number),),
            "bundle": described,
            "recorded_at": START + timedelta(days=number),
            **fields,
        },
    )


def entry_for(
    record: BaselineRecord, digest: str, bundle: Mapping[str, str], root: Path, **changes: object
) -> AuditEntry:
    """The entry that approves a record."""
    fields = {
        "action": Action.APPROVE,
        "at": record.recorded_at,
        "by": record.approved_by,
        "rotation": record.rotation,
        "verified": False,
        "scenario_id": record.scenario_id,
        "key": comparison_key(record.fingerprint, record.host_class),
        "baseline_id": record.baseline_id,
        "record_sha256": digest,
        "bundle": dict(bundle),
        "run_id": record.run_ids[-1],
        "parents": read_trail(FolderTree(root)).heads,
        **changes,
    }
    return AuditEntry(**fields)


def approve(
    root: Path,
    record: BaselineRecord,
    *,
    bundle: Mapping[str, bytes] = BUNDLE,
    who: Person | None = None,
    signer: Callable[[bytes], bytes] | None = None,
    **changes: object,
) -> Path:
    """Write a record as an approval does."""
    signer = who.sign if who else signer
    with approving(root):
        return write_approved(
            root,
            record,
            bundle,
            lambda digest, hashes: entry_for(
                record, digest, hashes, root, **{"verified": signer is not None, **changes}
            ),
            signer,
        )


def retirement(root: Path, record: BaselineRecord, at: datetime, **changes: object) -> AuditEntry:
    """The entry that retires a record."""
    changes = {"action": Action.RETIRE, "at": at, "record_sha256": None, "run_id": None, **changes}
    return entry_for(record, "", {}, root, **changes)


def acknowledgement(root: Path, at: datetime, until: date, **changes: object) -> AuditEntry:
    """The entry that acknowledges a regression of the scenario `s`."""
    known = Acknowledged(until=until, cause=Cause.METRIC_REGRESSION, failed_share=0.0, metrics={"runtime_ms": 120.0})
    changes = {"action": Action.ACKNOWLEDGE, "at": at, "acknowledged": known, "baseline_id": None, **changes}
    return entry_for(record_of(1), "", {}, root, **{"record_sha256": None, **changes})


def add(root: Path, entry: AuditEntry, who: Person | None = None) -> Path:
    """Add an entry that has no record."""
    with approving(root):
        return append(root, entry, who.sign(entry_bytes(entry)) if who else None)


def entries(root: Path) -> list[Path]:
    """The files of the entries, oldest first."""
    return sorted((root / "audit").glob("*.json"))


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody with a name, whatever this machine's configuration says."""
    who = ["-c", "user.name=Tester", "-c", "user.email=tester@example.invalid", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def commit(folder: Path, message: str = "as it is") -> str:
    """Commit all of a folder, and return the commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()
