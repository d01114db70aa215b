"""git, asked in a way that neither the environment nor replaced objects can bend."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause

TIMEOUT_SEC = 60


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
    if "ambiguous" in answer.error:
        why = f"the git ref {ref!r} is ambiguous"
        hint = f"git for-each-ref | grep {ref}, and write the whole name, for example refs/remotes/origin/{ref}"
    elif answer.code or not ref:
        why = f"the git ref {ref!r} names no commit here: {answer.error}"
        hint = f"git fetch origin {ref.removeprefix('origin/')}; in CI, check out with enough history to hold it"
    else:
        return answer.out.decode("ascii").strip()
    raise BlockedError(
        why,
        cause=Cause.CONFIGURATION,
        where=str(repository),
        expected="a branch, tag or commit that is there, for example origin/main",
        hint=hint,
    )


def author_of(repository: Path, commit: str) -> str | None:
    """E-mail address of the author of a commit; None where it is not known here."""
    answer = git(repository, "log", "-1", "--format=%ae", "--end-of-options", commit, "--")
    return None if answer.code else os.fsdecode(answer.out).strip() or None
