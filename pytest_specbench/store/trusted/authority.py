"""Whose word counts: the baselines, maintainers and signers of the work tree, or those of a trusted git ref."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.settings import Held, Settings
from pytest_specbench.core.status import Cause
from pytest_specbench.store.baselines.trust import Signing, Trust, read_trust
from pytest_specbench.store.trees import FolderTree, GitTree, Tree
from pytest_specbench.store.trusted.proposals import Alteration, what_counts


@dataclass(frozen=True)
class Authority:
    """What a run is held against."""

    tree: Tree
    """The baseline folder to read from."""
    trust: Trust
    """Whose approvals count."""
    work: FolderTree
    """The baseline folder of the work tree."""
    trusted: Tree | None = None
    """The baseline folder as it is at the trusted ref; None where there is no such ref."""
    altered: tuple[Alteration, ...] = ()
    """What the work tree's baseline folder has otherwise than the ref's."""


def authority(settings: Settings) -> Authority:
    """What counts for these settings. Raises BlockedError when it cannot be told."""
    signing = cast("Signing", settings.signing)
    required = settings.sources.get("baselines", "default") != "default"
    folder = settings.under_test(settings.baselines)
    work = FolderTree(folder, required=required)
    if settings.held is None:
        return Authority(work, read_trust(work, signing), work)
    work = FolderTree(folder)  # the change may have removed it; the ref has it
    trusted = trusted_baselines(settings, settings.held)
    trust = read_trust(trusted, signing)
    counts, altered = what_counts(work, trusted, trust)
    return Authority(counts, trust, work, trusted, tuple(altered))


def trusted_baselines(settings: Settings, held: Held) -> GitTree:
    """The baseline folder as it is at the ref. BlockedError(CONFIGURATION) when it lies outside of the repository."""
    if not settings.baselines.is_relative_to(settings.root):
        raise BlockedError(
            f"it lies outside of the repository, so that {held.ref} knows nothing of it",
            cause=Cause.CONFIGURATION,
            where=str(settings.baselines),
            expected=f"a folder in {settings.work_tree}",
            hint="give another --specbench-baselines, or no --specbench-trusted-ref",
        )
    inside = settings.baselines.relative_to(settings.root).as_posix()
    return GitTree(settings.work_tree, held.commit, "" if inside == "." else inside, called=held.ref)
