"""git, asked in a way that neither the environment, nor what lies in a work tree, nor replaced objects can bend."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_specbench.core.errors import BlockedError

TIMEOUT_SEC = 60
SUBMODULE = b"160000 "
"""What the entry of a submodule begins with: its mode."""
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


KEPT = ("GIT_CONFIG_", "GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_EXEC_PATH")
"""Variables of git that are passed on: who somebody is, and which directories are safe. Each of the others could have
git speak of another repository, read a path otherwise, or run a program.
"""

_SETTINGS = {
    "safe.bareRepository": "explicit",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.checkStat": "default",
    "core.trustctime": "true",
    "core.ignoreStat": "false",
    "protocol.allow": "never",
}
"""What no repository decides for us: programs to run, how closely git looks at files, and fetching what is missing."""

_OPTIONS = ("--no-replace-objects", *(word for item in _SETTINGS.items() for word in ("-c", "=".join(item))))


def repository_of(folder: Path) -> Path | None:
    """Top of the work tree that holds a folder, links resolved; None where there is none. Asks git only where
    repositories are nested.

    It is looked for from outside in: a `.git` among files that the repository around it tracks is no repository, and
    neither is a folder that only looks like a bare one. A submodule is, and so is what the outer one does not track.
    """
    here = Path(os.path.realpath(folder))
    found: Path | None = None
    for top in reversed((here, *here.parents)):
        if _is_top(top) and (found is None or not _tracks_below(found, top)):
            found = top
    return found


def superproject_of(repository: Path) -> Path | None:
    """Top of the repository that a repository is a submodule of; None where it is none."""
    outer = repository_of(repository.parent)
    if outer is None:
        return None
    entry = _asked(outer, ("ls-files", "-s", "-z", "--", f":(top,literal){repository.relative_to(outer)}"))
    return outer if entry.out.startswith(SUBMODULE) else None


def _is_top(folder: Path) -> bool:
    git_folder = folder / ".git"
    try:
        return git_folder.is_file() or (git_folder / "HEAD").exists()
    except OSError:  # a folder that may not be entered
        return False


def _tracks_below(repository: Path, folder: Path) -> bool:
    """Whether a repository tracks files in a folder, other than as a submodule."""
    try:
        listed = _asked(repository, ("ls-files", "-s", "-z", "--", f":(top,literal){folder.relative_to(repository)}"))
    except Exception:  # noqa: BLE001 - without git there is nothing to ask, and nobody asks more than where a folder is
        return False
    return listed.code == 0 and any(one and not one.startswith(SUBMODULE) for one in listed.out.split(b"\0"))


def git(folder: Path, *arguments: str, given: bytes = b"") -> Answer:
    """Run git at the top of the repository that holds a folder, with `given` on its stdin; where there is none,
    outside of any. Raises BlockedError(CONFIGURATION) where git cannot be run.
    """
    return _asked(repository_of(folder), arguments, given)


def git_command(repository: Path | None, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment by which git is run at the top of a repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "LC_", "LANGUAGE"))}
    kept |= {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    kept |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
    if repository is None:
        kept["GIT_DIR"] = os.devnull
    else:
        # What is found from its top is its own .git, and nothing above: git still refuses another user's repository,
        # which it does not where it is given the folder.
        kept["GIT_CEILING_DIRECTORIES"] = str(repository.parent)
    return ["git", *_OPTIONS, *arguments], kept


def _asked(repository: Path | None, arguments: tuple[str, ...], given: bytes = b"") -> Answer:
    command, environment = git_command(repository, *arguments)
    try:
        done = subprocess.run(
            command,
            cwd=repository or "/",
            env=environment,
            input=given,
            capture_output=True,
            timeout=TIMEOUT_SEC,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _blocked(f"git cannot be run: {error}", repository or Path("/"), "git --version") from None
    return Answer(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace").strip())


def top_level(folder: Path) -> Path:
    """The top folder of the work tree that holds `folder`. Raises BlockedError(CONFIGURATION) where there is none."""
    repository = repository_of(folder)
    answer = _asked(repository, ("rev-parse", "--git-dir"))
    if repository is None or answer.code:
        raise _blocked(f"there is no git repository: {answer.error}", folder, f"git -C {folder} status")
    return repository


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
    raise _blocked(why, repository, hint, "a branch, tag or commit that is there, for example origin/main")


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
        raise _blocked(f"git cannot list the refs: {listed.error}", repository, f"git -C {repository} for-each-ref")
    found = [ref for ref in listed.out.decode("utf-8", "replace").split("\n") if ref in names]
    if _TOP.fullmatch(name) and not git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{object}}").code:
        found.append(f"{name} of the work tree")
    if found and _ID.fullmatch(name):
        found += git(repository, "rev-parse", f"--disambiguate={name.lower()}").out.decode("ascii").split()
    return found


def _blocked(why: str, where: Path, hint: str, expected: str | None = None) -> BlockedError:
    from pytest_specbench.core.errors import BlockedError  # here, since every pytest session asks for its repository
    from pytest_specbench.core.status import Cause

    return BlockedError(why, cause=Cause.CONFIGURATION, where=str(where), expected=expected, hint=hint)


def author_of(repository: Path, commit: str) -> str | None:
    """E-mail address of the author of a commit; None where it is not known here."""
    answer = git(repository, "log", "-1", "--format=%ae", "--end-of-options", commit, "--")
    return None if answer.code else os.fsdecode(answer.out).strip() or None
