"""Who may keep incidents back: maintainers."""

from __future__ import annotations

from pytest_specbench.core.errors import SpecbenchError, UsageError
from pytest_specbench.core.settings import Settings
from pytest_specbench.incidents.specs import NONE
from pytest_specbench.store.baselines.identity import email_by_git
from pytest_specbench.store.baselines.maintainers import MAINTAINERS, read_maintainers
from pytest_specbench.store.trees import FolderTree, Tree
from pytest_specbench.store.trusted.authority import trusted_baselines


def keeps_back(settings: Settings) -> str | None:
    """The option by which this invocation keeps incidents back; None when it does not.

    `none` in the ini file is the repository's own policy; on a command line it is what `--specbench-no-incident` is.
    """
    if settings.no_incident:
        return "--specbench-no-incident"
    if settings.incidents == NONE and settings.sources.get("incidents", "").startswith("command line"):
        return f"--specbench-incidents={NONE}"
    return None


def check_permission(settings: Settings) -> None:
    """Let only a maintainer keep incidents back. Raises UsageError that names the file to edit.

    Who it is, is what git's configuration says: an honest mistake is found, a lie is not, and so the report names them.
    """
    option = keeps_back(settings)
    if option is None:
        return
    try:
        maintainers = read_maintainers(_tree(settings))
        who = email_by_git(settings)
    except SpecbenchError as error:
        raise UsageError(f"{option} from {_source(settings)}: {error}") from None
    if who is not None and maintainers.people.get(who):
        return
    raise UsageError(
        f"{option} from {_source(settings)}: only maintainers may keep incidents back, and "
        + ("git config user.email is not set" if who is None else f"{who} (git config user.email) is none"),
        where=maintainers.label,
        expected="maintainers: [{principal: mara@example.org, rotations: [workflow-maintainers]}]",
        hint=f"leave the option out, or have a maintainer add you to {settings.baselines / MAINTAINERS}",
    )


def _source(settings: Settings) -> str:
    return settings.sources.get("no_incident" if settings.no_incident else "incidents", "default")


def _tree(settings: Settings) -> Tree:
    """The baselines; those of the trusted ref where there is one: nobody appoints themselves."""
    return FolderTree(settings.baselines) if settings.held is None else trusted_baselines(settings, settings.held)
