"""git, asked in a way that neither the environment nor replaced objects can bend."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause

TIMEOUT_SEC = 60
_STEPS = re.compile(r"[~^:]|@\{")
"""Where the name in a revision ends: what follows says where to go from there."""
_TOP = re.compile(r"[A-Z_]*HEAD")
"""Names of refs that lie outside refs/, such as HEAD and FETCH_HEAD."""
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_ID = re.compile(r"[0-9a-fA-F]{4,64}")
"""An object's id, or its beginning."""


@dataclass(frozen=True)
class Answer:
    """What a git command said; `code` is not 0 when it failed."""

    code: int
    out: bytes
    error: str


def git(folder: Path, *arguments: str, given: bytes = b"") -> Answer:
    """Run git in a folder with `given` on its stdin. Raises BlockedError(CONFIGURATION) where git cannot be run."""
    # A GIT_DIR or its like, left by a hook, would have git speak of another repository than the one in `folder`; an
    # object that refs/replace stands for would have another content than its name says.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "LC_"))}
    try:
        done = subprocess.run(
            ["git", "--no-replace-objects", *arguments],
            cwd=folder,
            env=environment | {"LC_ALL": "C", "LANGUAGE": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            input=given,
            capture_output=True,
            timeout=TIMEOUT_SEC,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BlockedError(
            f"git cannot be run: {error}", cause=Cause.CONFIGURATION, where=str(folder), hint="git --version"
        ) from None
    return Answer(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace").strip())


def top_level(folder: Path) -> Path:
    """The top folder of the work tree that holds `folder`. Raises BlockedError(CONFIGURATION) where there is none."""
    answer = git(folder, "rev-parse", "--show-toplevel")
    if answer.code:
        raise BlockedError(
            f"there is no git repository: {answer.error}",
            cause=Cause.CONFIGURATION,
            where=str(folder),
            hint=f"git -C {folder} status",
        )
    return Path(os.fsdecode(answer.out.removesuffix(b"\n")))


def commit_of(repository: Path, ref: str) -> str:
    """The commit that a ref stands for. BlockedError(CONFIGURATION) where there is none, or where it is ambiguous."""
    answer = git(
        repository,
        *("-c", "core.warnAmbiguousRefs=true", "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}"),
    )
    commit = answer.out.decode("utf-8", "replace").strip()
    name = _STEPS.split(ref, maxsplit=1)[0]
    could_be = _meanings(repository, name)
    if len(could_be) > 1:
        why = f"the git ref {ref!r} is ambiguous: it could be {' or '.join(could_be)}"
        hint = "write the whole name, for example refs/remotes/origin/main, or the whole id of the commit"
    elif not answer.code and name and name in answer.error:  # it takes the ref, and has something to say of its name
        why = f"git warns of the ref {ref!r}: {answer.error}"
        hint = f"git -C {repository} for-each-ref, and ls {repository}/.git"
    elif answer.code or not _COMMIT.fullmatch(commit):
        why = f"the git ref {ref!r} names no commit here: {answer.error}"
        hint = f"git fetch origin {ref.removeprefix('origin/')}; in CI, check out with enough history to hold it"
    else:
        return commit
    raise BlockedError(
        why,
        cause=Cause.CONFIGURATION,
        where=str(repository),
        expected="a branch, tag or commit that is there, for example origin/main",
        hint=hint,
    )


def _meanings(repository: Path, name: str) -> list[str]:
    """The refs that a name could stand for by the rules of gitrevisions(7), and the objects where it is both.

    git itself takes the first of them, and says so in words that may change.
    """
    if not name:
        return []
    places = (name, f"refs/{name}", f"refs/tags/{name}", f"refs/heads/{name}", f"refs/remotes/{name}")
    names = {*places, f"refs/remotes/{name}/HEAD"}
    listed = git(repository, "for-each-ref", "--format=%(refname)", "--", *names)
    if listed.code:
        raise BlockedError(
            f"git cannot list the refs: {listed.error}", cause=Cause.CONFIGURATION, where=str(repository)
        )
    found = [ref for ref in listed.out.decode("utf-8", "replace").split("\n") if ref in names]
    if _TOP.fullmatch(name) and not git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{object}}").code:
        found.append(f"{name} of the work tree")
    if found and _ID.fullmatch(name):
        found += git(repository, "rev-parse", f"--disambiguate={name.lower()}").out.decode("ascii").split()
    return found


def author_of(repository: Path, commit: str) -> str | None:
    """E-mail address of the author of a commit; None where it is not known here."""
    answer = git(repository, "log", "-1", "--format=%ae", "--end-of-options", commit, "--")
    return None if answer.code else os.fsdecode(answer.out).strip() or None
