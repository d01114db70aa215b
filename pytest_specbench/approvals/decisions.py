"""Deciding as a maintainer: who does it, when, on top of which trail, and one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pytest_specbench.approvals.proposals import one_pair_of_eyes
from pytest_specbench.core.approval.audit import AuditEntry, Trail, entry_bytes, latest
from pytest_specbench.core.errors import ApprovalRefusedError, BlockedError
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.settings import Settings
from pytest_specbench.store.baselines.audit import append, read_trail
from pytest_specbench.store.baselines.identity import Maintainer, who_acts
from pytest_specbench.store.baselines.records import approving
from pytest_specbench.store.baselines.trust import read_trust, signing_of
from pytest_specbench.store.trees import FolderTree


@dataclass(frozen=True)
class Decision:
    """What every decision needs; nobody else decides meanwhile."""

    settings: Settings
    by: Maintainer
    trail: Trail
    at: datetime

    def entry(self, **what: Any) -> AuditEntry:
        """An audit entry of this maintainer, now, on top of the newest ones."""
        return AuditEntry(
            at=self.at,
            by=self.by.principal,
            rotation=self.by.rotation,
            verified=self.by.verified,
            parents=self.trail.heads,
            **what,
        )

    def record(self, entry: AuditEntry) -> AuditEntry:
        """Write an entry that approves nothing."""
        signature = None if self.by.sign is None else self.by.sign(entry_bytes(entry))
        append(self.settings.baselines, entry, signature)
        return entry

    def four_eyes(self, run: BenchmarkRun) -> list[str]:
        """Why this maintainer may not decide about the run, where four eyes are asked for; none where they may."""
        return one_pair_of_eyes(run, self.settings, self.by) if self.settings.four_eyes else []


@contextmanager
def deciding(settings: Settings, now: datetime | None = None) -> Iterator[Decision]:
    """Hold the baselines for one decision. Raises ApprovalRefusedError when the user is no maintainer, the trail is
    broken, this machine's clock is behind it, or the baseline folder cannot be read or written.
    """
    try:
        maintainer = maintainer_of(settings)
        with approving(settings.baselines):
            trail = _sound(read_trail(FolderTree(settings.baselines)))
            yield Decision(settings, maintainer, trail, _not_before(trail, now or datetime.now(UTC)))
    except BlockedError as error:
        raise ApprovalRefusedError("the baselines cannot be trusted:", (str(error),)) from None
    except OSError as error:
        raise ApprovalRefusedError("the baselines cannot be written:", (str(error),)) from None


def maintainer_of(settings: Settings) -> Maintainer:
    """The maintainer who runs this command. ApprovalRefusedError: nobody can be told, or the user is none."""
    return who_acts(settings, read_trust(FolderTree(settings.baselines), signing_of(settings)))


def _sound(trail: Trail) -> Trail:
    if trail.problems:
        raise ApprovalRefusedError(
            "the audit trail is broken, and nothing may be added to it:",
            tuple(f"{problem.name}: {problem.what}" for problem in trail.problems),
            hint="specbench baseline verify, and restore it from version control",
        )
    return trail


def _not_before(trail: Trail, at: datetime) -> datetime:
    newest = latest(trail.entries)
    if newest is not None and at < newest:
        raise ApprovalRefusedError(
            "nothing is written:",
            (f"this machine's clock ({at:%Y-%m-%d %H:%M}) is behind the newest entry ({newest})",),
        )
    return at
