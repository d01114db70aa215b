"""Whose word counts: the baselines, maintainers and signers of the work tree, or those of a trusted git ref."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.fingerprint import diff_lines, differences
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause
from pytest_specbench.store.baselines.trust import Signing, Trust, read_trust
from pytest_specbench.store.lock import LOCK_NAME
from pytest_specbench.store.trees import FolderTree, Tree
from pytest_specbench.store.trusted.ref import Alteration, TrustedRef, ini_alterations, trusted_ref, what_counts
from pytest_specbench.store.trusted.scenarios import Gates, gates_at, lock_alterations, scenario_alterations


@dataclass(frozen=True)
class Authority:
    """What a run is held against."""

    tree: Tree
    """The baseline folder to read from."""
    trust: Trust
    """Whose approvals count."""
    trusted: Tree | None = None
    """The baseline folder as it is at the trusted ref; None where there is no such ref."""
    altered: tuple[Alteration, ...] = ()
    """What the work tree has otherwise than the ref."""
    ref: TrustedRef | None = None
    """The trusted ref."""
    gates: Gates = field(default_factory=dict)
    """How strictly scenarios are judged by the lock files of the ref."""

    def refuse_escapes(self) -> None:
        """Raises BlockedError(PARITY) when what was altered lets a scenario escape its judgement."""
        found = [one.sentence for one in self.altered if one.blocks]
        if found:
            raise BlockedError(
                "the change alters what it is judged by:\n" + "\n".join(f"- {sentence}" for sentence in found),
                cause=Cause.PARITY,
                expected="what the trusted ref has",
                hint="make it a change of its own, for the maintainers to merge",
            )

    def refuse_loosened(
        self, scenario_id: str, backend: str | None, gate: Mapping[str, Scalar], baselines: Sequence[BaselineRecord]
    ) -> None:
        """Raises BlockedError(PARITY) when a scenario is judged by another gate than those who decide know: that of a
        baseline that it may be compared with, or that of the ref's lock, in `backend` or, with None, in any. What
        neither knows, such as a new scenario, has no gate to escape.
        """
        if self.ref is None:
            return
        known: dict[str, Mapping[str, Scalar]] = {one.baseline_id: one.fingerprint.gate for one in baselines}
        for (of, name), pinned in self.gates.items():
            if name == scenario_id and backend in (None, of):
                known |= {f"{LOCK_NAME} at {self.ref.ref}, {of}": facts for facts in pinned}
        if not known or any(facts == dict(gate) for facts in known.values()):
            return
        where, facts = next(iter(known.items()))
        diff = diff_lines(differences(facts, gate), expected=where, observed="this change")
        raise BlockedError(
            f"the change alters how strictly {scenario_id!r} is judged (tracked metrics, thresholds, trials, subject, "
            "success):\n" + "\n".join(diff),
            cause=Cause.PARITY,
            expected="the gate of the approved baseline, or of the trusted ref's lock",
            hint="approve anew, signed; or make it a change of its own, for the maintainers to merge",
        )


def authority(settings: Settings, *, places: Sequence[Path] = (), file: Path | None = None) -> Authority:
    """What counts for these settings. `places` are further folders from which pytest looks for its configuration,
    `file` is the one that the command line names. Raises BlockedError when it cannot be told.
    """
    signing = cast("Signing", settings.signing)
    work = FolderTree(settings.baselines, required=settings.sources.get("baselines", "default") != "default")
    if settings.trusted_ref is None:
        return Authority(work, read_trust(work, signing))
    ref = trusted_ref(settings.root, settings.trusted_ref)
    trusted = ref.tree(settings.baselines)
    trust = read_trust(trusted, signing)
    counts, altered = what_counts(work, trusted, trust)
    ini = [one for place in (settings.root, *places) for one in ini_alterations(ref, place, file=file)]
    found = (*altered, *dict.fromkeys(ini), *scenario_alterations(ref, counts), *lock_alterations(ref))
    return Authority(counts, trust, trusted, found, ref, gates_at(ref))
