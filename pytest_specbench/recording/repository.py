"""What git says of the repository that the scenarios lie in."""

from __future__ import annotations

import subprocess
from pathlib import Path

TIMEOUT_SEC = 30


def git_commit(folder: Path) -> str | None:
    """The commit that is checked out in `folder`; null where there is no repository, no commit, or no git."""
    return _git(folder, "rev-parse", "--verify", "HEAD")


def _git(folder: Path, *arguments: str) -> str | None:
    """Standard output of a git command, stripped; None when it failed."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SEC, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
