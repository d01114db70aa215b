"""Whose word counts: the baselines, maintainers and signers of the work tree, or those of a trusted git ref."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause
from pytest_specbench.store.trees import FolderTree, Tree
from pytest_specbench.store.trust import Signing, Trust, read_trust
from pytest_specbench.store.trusted import Alteration, ini_alterations, trusted_ref, what_counts
from pytest_specbench.store.trusted_scenarios import lock_alterations, scenario_alterations


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

    def refuse_escapes(self, scenario_id: str) -> None:
        """Raises BlockedError(PARITY) when what was altered lets this scenario, or any one, escape its judgement."""
        gates = [one for one in self.altered if one.gate and one.scenario_id == scenario_id]
        found = [one.sentence for one in self.altered if one.blocks] + [one.sentence for one in gates]
        if found:
            raise BlockedError(
                "the change alters what it is judged by:\n" + "\n".join(f"- {sentence}" for sentence in found),
                cause=Cause.PARITY,
                expected="what the trusted ref has",
                hint="make it a change of its own, for the maintainers to merge",
            )


def authority(settings: Settings) -> Authority:
    """What counts for these settings. Raises BlockedError when it cannot be told."""
    signing = cast("Signing", settings.signing)
    work = FolderTree(settings.baselines, required=settings.sources.get("baselines", "default") != "default")
    if settings.trusted_ref is None:
        return Authority(work, read_trust(work, signing))
    ref = trusted_ref(settings.root, settings.trusted_ref)
    trusted = ref.tree(settings.baselines)
    trust = read_trust(trusted, signing)
    counts, altered = what_counts(work, trusted, trust)
    return Authority(
        counts,
        trust,
        trusted,
        (*altered, *ini_alterations(ref, settings.root), *scenario_alterations(ref, counts), *lock_alterations(ref)),
    )
