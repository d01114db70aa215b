"""Whether incidents are opened from here: which branch is checked out, and which ones are meant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.git import git

_MAX_EVENT = 10_000_000
_SET = "set specbench_incident_branches"


@dataclass(frozen=True)
class Place:
    """Where the session runs. `branch` and `default` are None where they are not known, and `why` then says why."""

    branch: str | None
    default: str | None
    why: str = ""


def why_not(configured: Sequence[str], place: Place) -> str | None:
    """Why no incident is opened from a place; None where one is. Without configured branches the default one is meant.

    What is not known opens nothing: somebody's copy would else speak for the project.
    """
    if place.branch is None:
        return f"{place.why}; {_SET} and check a branch out, if incidents are to be opened from here"
    if configured:
        if any(fnmatchcase(place.branch, pattern) for pattern in configured):
            return None
        return f"branch {place.branch!r} is none of {', '.join(configured)}"
    if place.default is None:
        return f"the default branch is not known: {place.why}; {_SET}"
    if place.branch != place.default:
        return f"branch {place.branch!r} is not the default branch {place.default!r}"
    return None


def place_of(root: Path, environ: Mapping[str, str]) -> Place:
    """Where a session below `root` runs, as the CI service says, else as git does."""
    if environ.get("GITHUB_REF_NAME"):
        return _github(root, environ)
    if environ.get("CI_COMMIT_REF_NAME") or environ.get("CI_COMMIT_BRANCH") or environ.get("CI_MERGE_REQUEST_IID"):
        return _gitlab(environ)
    try:
        return _local(root)
    except BlockedError as error:
        return Place(None, None, error.message)


def _github(root: Path, environ: Mapping[str, str]) -> Place:
    # The head of a pull request may be anybody's, and be called like the default branch.
    if environ.get("GITHUB_HEAD_REF") or environ.get("GITHUB_EVENT_NAME", "").startswith("pull_request"):
        return Place(None, None, "this is a pull request")
    if environ.get("GITHUB_REF_TYPE", "branch") != "branch":
        return Place(None, None, f"this is the tag {environ['GITHUB_REF_NAME']!r}")
    branch = environ["GITHUB_REF_NAME"]
    named = _event(environ.get("GITHUB_EVENT_PATH", "")).get("repository")
    default = named.get("default_branch") if isinstance(named, dict) else None
    if not isinstance(default, str) and environ.get("GITHUB_EVENT_NAME") == "schedule":
        default = branch  # a schedule runs on no other
    if not isinstance(default, str):
        try:
            default = _origin_head(root)
        except BlockedError:
            default = None
    return Place(branch, default, "neither GITHUB_EVENT_PATH nor git's origin/HEAD names it")


def _event(path: str) -> dict[str, Any]:
    """The payload of the event that started the workflow; empty where it cannot be read."""
    try:
        if not path or Path(path).stat().st_size > _MAX_EVENT:
            return {}
        content = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _gitlab(environ: Mapping[str, str]) -> Place:
    if environ.get("CI_MERGE_REQUEST_IID"):
        return Place(None, None, "this is a merge request")
    if not environ.get("CI_COMMIT_BRANCH"):
        return Place(None, None, f"{environ.get('CI_COMMIT_REF_NAME')!r} is no branch")
    return Place(environ["CI_COMMIT_BRANCH"], environ.get("CI_DEFAULT_BRANCH") or None, "CI_DEFAULT_BRANCH is not set")


def _local(root: Path) -> Place:
    if _line(root, "rev-parse", "--is-inside-work-tree") != "true":
        return Place(None, None, "there is no git repository")
    branch = _line(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    if branch is None:
        return Place(None, None, "no branch is checked out (a detached HEAD)")
    default = _origin_head(root)
    if default is None and not _line(root, "remote"):
        named = _line(root, "config", "--get", "init.defaultBranch")
        default = branch if branch in {named, "main", "master"} else named or "main"
    return Place(branch, default, "git does not know it; git remote set-head origin --auto")


def _origin_head(root: Path) -> str | None:
    found = _line(root, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
    return found.removeprefix("refs/remotes/origin/") if found else None


def _line(root: Path, *arguments: str) -> str | None:
    answer = git(root, *arguments)
    return None if answer.code else answer.out.decode("utf-8", "replace").strip() or None
