"""Projects whose runs are approved: real git repositories with maintainers, and the command line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parity_support import commit, git
from scenario_files import Project, Ran

MARA, BEN = "mara@example.org", "ben@example.org"
ROTATION = "workflow-maintainers"


def as_made_once(project: Project, templates: Path, name: str, make: Callable[[], object]) -> Project:
    """Make the project what `make` makes of it: in earnest the first time, then as a copy of that in `templates`."""
    template = templates / name
    if template.exists():
        shutil.rmtree(project.path)
        shutil.copytree(template, project.path, symlinks=True)
        os.chdir(project.path)
    else:
        make()
        shutil.copytree(project.path, template, symlinks=True)
    return project


def latest(project: Project) -> Ran:
    """What the newest run left."""
    return Ran(0, "", "", project.path / ".terminalbench")


def maintained(project: Project, *people: str, user: str = MARA) -> Project:
    """Make the project a clean repository whose user is `user`, with these maintainers (by default that user)."""
    listed = "".join(f"  - {{principal: {name}, rotations: [{ROTATION}]}}\n" for name in people or (user,))
    project.file("baselines/maintainers.yaml", f"maintainers:\n{listed}")
    commit(project)
    project.file(".git/info/exclude", "/runpytest-*\n/junit.xml\n")  # what a process of its own leaves behind
    git(project.path, "config", "user.email", user)
    git(project.path, "config", "user.name", user.partition("@")[0].title())
    return project


def passes(project: Project, times: int, *arguments: str) -> Ran:
    """Run the scenarios so many times; each passes."""
    for _ in range(times):
        ran = project.run(*arguments)
        assert ran.code == 0, ran.out
    return ran


def approved(project: Project, *arguments: str, scenario: str = "demo", run: str = "latest") -> Ran:
    """Approve on the command line, and see that it is done."""
    ran = project.specbench("baseline", "approve", "--scenario", scenario, "--run", run, *arguments)
    assert ran.code == 0, ran.err
    return ran


def entries(project: Project) -> list[dict[str, Any]]:
    """The audit entries, by the names of their files."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(project.path.glob("baselines/audit/*.json"))]


def record(project: Project, scenario: str = "demo") -> dict[str, Any]:
    """The newest record of a scenario."""
    paths = sorted(Path(project.path, "baselines", scenario).glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    content: dict[str, Any] = json.loads(paths[-1].read_text("utf-8"))
    return content
