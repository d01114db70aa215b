"""What git says of the repository that the scenarios lie in."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

TIMEOUT_SEC = 30


def git_commit(folder: Path) -> str | None:
    """The commit that is checked out in `folder`; null where there is no repository, no commit, or no git."""
    return _git(folder, "rev-parse", "--verify", "HEAD")


def unclean(benchmarks: Path, *, ignore: Path) -> list[str]:
    """Why the repository does not hold what would run, one phrase each; empty when it does.

    Tracked changes count everywhere, untracked files only below the folder `benchmarks`, and never below `ignore`.
    """
    top = _git(benchmarks, "rev-parse", "--show-toplevel")
    if top is None:
        return ["there is no git repository"]
    if git_commit(benchmarks) is None:
        return ["there is no commit yet"]
    status = _git(benchmarks, "status", "--porcelain=v1", "-z", "--untracked-files=all", strip=False)
    if status is None:
        return ["git status failed"]
    return [*_changes(status.split("\0"), Path(top), benchmarks.resolve(), ignore.resolve())]


def _changes(entries: list[str], top: Path, benchmarks: Path, ignore: Path) -> Iterator[str]:
    """Phrases for the entries of `git status -z`; a renamed file has its old name in an entry of its own."""
    left = iter(entries)
    for entry in left:
        code, name = entry[:2], entry[3:]
        if not name:
            continue
        if "R" in code or "C" in code:
            next(left, None)
        path = top / name
        if path.is_relative_to(ignore):
            continue
        if code != "??":
            yield f"{name!r} is changed"
        elif path.is_relative_to(benchmarks):
            yield f"{name!r} is not tracked"


def _git(folder: Path, *arguments: str, strip: bool = True) -> str | None:
    """Standard output of a git command; None when it failed."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=TIMEOUT_SEC,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return done.stdout.strip() if strip else done.stdout
