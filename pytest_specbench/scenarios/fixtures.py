"""Fixtures of a scenario as what a sandbox can take: an archive to unpack and commands to run."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_specbench.core.errors import ScenarioError
from pytest_specbench.core.problems import one_of
from pytest_specbench.core.records import Scalar
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.scenarios.model import FilesFixture, GitFixture, SpecKitFixture
from pytest_specbench.scenarios.spec_kit import project_tree
from pytest_specbench.scenarios.tree import pack

GIT_ENVIRONMENT: Mapping[str, str] = {
    "GIT_AUTHOR_NAME": "Specbench",
    "GIT_AUTHOR_EMAIL": "specbench@example.invalid",
    "GIT_AUTHOR_DATE": "2020-01-01T00:00:00+0000",
    "GIT_COMMITTER_NAME": "Specbench",
    "GIT_COMMITTER_EMAIL": "specbench@example.invalid",
    "GIT_COMMITTER_DATE": "2020-01-01T00:00:00+0000",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "LC_ALL": "C",
}
"""Everything that goes into a commit's id besides its tree, and nothing of the machine's own configuration."""


@dataclass(frozen=True)
class FixtureContent:
    """A fixture, ready to be put in place: unpack `archive` into `target`, then run `commands`, in this order."""

    name: str
    archive: bytes | None
    """Deterministic tar archive; None when there is nothing to unpack."""
    target: str
    """Folder relative to the workdir."""
    commands: tuple[tuple[str, ...], ...] = ()
    """Argument lists that run in the workdir; each must exit 0, else set-up has failed."""
    record: Mapping[str, Scalar] = field(default_factory=dict)
    """What it was, for the record: `type`, `content` (`sha256:...`), and what else tells versions apart."""


def materialise(loaded: LoadedScenario, name: str, *, cache: Path | None = None) -> FixtureContent:
    """Make the content of the fixture `name`; `cache` is the folder for made trees (None: the user's cache folder).

    Raises ScenarioError when the scenario has no such fixture or its files are gone, BlockedError(DEPENDENCY_MISSING)
    when the Spec Kit that it needs is not installed, InfrastructureError(SETUP_FAILED) when Spec Kit fails.
    """
    fixture = loaded.scenario.fixtures.get(name)
    where = loaded.where("fixtures", name)
    if fixture is None:
        raise ScenarioError(
            f"no fixture is called {name!r}", where=where, expected=one_of(loaded.scenario.fixtures, name)
        )
    if isinstance(fixture, FilesFixture):
        return _files(loaded, name, fixture)
    if isinstance(fixture, GitFixture):
        return _git(name, fixture)
    return _spec_kit(name, fixture, where, cache)


def _files(loaded: LoadedScenario, name: str, fixture: FilesFixture) -> FixtureContent:
    try:
        archive = pack(loaded.folder, fixture.source)
    except ScenarioError as error:
        raise ScenarioError(
            error.message, where=loaded.where("fixtures", name, "source"), expected=error.expected
        ) from error
    record = {"type": "files", "source": fixture.source, "content": _content(archive)}
    return FixtureContent(name, archive, fixture.target, record=record)


def _spec_kit(name: str, fixture: SpecKitFixture, where: str, cache: Path | None) -> FixtureContent:
    version, archive = project_tree(fixture.version, where=where, cache=cache)
    record = {"type": "spec-kit", "version": version, "content": _content(archive)}
    return FixtureContent(name, archive, fixture.target, record=record)


def _git(name: str, fixture: GitFixture) -> FixtureContent:
    command = ("sh", "-c", _git_script(fixture.target, fixture.branch))
    record = {"type": "git", "branch": fixture.branch, "content": _content(json.dumps(command).encode())}
    return FixtureContent(name, None, fixture.target, (command,), record)


def _git_script(target: str, branch: str) -> str:
    """A repository whose commit id depends on the files alone: not on user, time, umask, hooks or configuration."""
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in GIT_ENVIRONMENT.items())
    folder = shlex.quote(f"./{target}")
    return "\n".join(
        (
            "set -eu",
            "command -v git >/dev/null || { echo 'git is not in the sandbox' >&2; exit 127; }",
            "unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE",
            f"export {exports}",
            f"mkdir -p {folder}",
            f"cd {folder}",
            "if [ -e .git ]; then echo 'there is a .git already' >&2; exit 1; fi",
            f"git init -q --template= --object-format=sha1 -b {shlex.quote(branch)}",
            "git config user.name Specbench",
            "git config user.email specbench@example.invalid",
            "git config core.autocrlf false",
            "git config core.fileMode true",
            "git config commit.gpgSign false",
            "git add --all --force .",
            "git commit -q --allow-empty --no-verify -m 'Start of the scenario'",
        )
    )


def _content(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
