"""Scenario projects for the tests of the glue: written into a folder, run through pytest, read back afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

# What a run imports is imported here, once for all runs inside this process.
import pytest_specbench.agents.command
import pytest_specbench.agents.nop
import pytest_specbench.agents.oracle
import pytest_specbench.items
import pytest_specbench.sandboxes.docker.backend
import pytest_specbench.sandboxes.local.backend
import pytest_specbench.session.session  # noqa: F401 - as above

INI = {"sandbox": "local", "approval_mode": "full-access", "allow_dirty": "true"}
"""The settings of a project, unless a test says otherwise: no engine, no policing, no repository."""

LEAN = ("-p", "no:hypothesispytest")
"""Without a plugin that imports itself whole at the end of every session: it would be most of the time."""


def scenario(scenario_id: str, **changes: Any) -> dict[str, Any]:
    """A scenario whose command agent makes what is asked for. A change that is None takes the key away."""
    content: dict[str, Any] = {
        "scenario_id": scenario_id,
        "display_name": f"The scenario {scenario_id}",
        "command_path": "/demo",
        "owner_rotation": "maintainers",
        "registry_version": "suite==1.0",
        "instruction": "Write result.txt.",
        "agent": {"name": "command", "options": {"command": "echo made > result.txt"}},
        "approval_mode": "full-access",
        "success_artifacts": [{"path": "result.txt"}],
        "metrics_tracked": ["exit_status", "success"],
    }
    return {key: value for key, value in (content | changes).items() if value is not None}


def command(line: str) -> dict[str, Any]:
    """The agent that runs a command line."""
    return {"name": "command", "options": {"command": line}}


def asking(project: Project, line: str) -> dict[str, Any]:
    """An agent that runs a command line, and says that it asks a model."""
    project.file(
        "asking.py",
        "from pytest_specbench.agents.command import CommandAgent\n"
        "class Asking(CommandAgent):\n"
        "    takes_model = True\n",
    )
    return {"name": "asking:Asking", "options": {"command": line}}


@dataclass(frozen=True)
class Ran:
    """One invocation: its exit code, what it printed, and what it left below the artifact root."""

    code: int
    out: str
    err: str
    root: Path

    @property
    def folder(self) -> Path:
        """The run folder, by the link that points to the newest."""
        return (self.root / "latest").resolve(strict=True)

    @property
    def report(self) -> dict[str, Any]:
        """report.json."""
        content: dict[str, Any] = json.loads((self.folder / "report.json").read_text("utf-8"))
        return content

    def scenario(self, scenario_id: str = "demo") -> dict[str, Any]:
        """The entry of the report."""
        found: dict[str, Any] = next(row for row in self.report["scenarios"] if row["scenario_id"] == scenario_id)
        return found

    def run(self, scenario_id: str = "demo") -> dict[str, Any]:
        """run.json."""
        content: dict[str, Any] = json.loads((self.folder / scenario_id / "run.json").read_text("utf-8"))
        return content

    def trial(self, scenario_id: str = "demo", name: str = "trial-01") -> Path:
        """The folder of a trial."""
        return self.folder / scenario_id / name

    def verdict(self, scenario_id: str = "demo") -> tuple[str, str, int]:
        """Status and cause of a scenario, and the exit code of the invocation."""
        row = self.scenario(scenario_id)
        return row["status"], row["cause"], self.code

    def judged(self, scenario_id: str = "demo") -> tuple[str, str]:
        """Status and cause of a scenario."""
        return self.verdict(scenario_id)[:2]


def counted(text: str) -> dict[str, int]:
    """How many of each outcome the last line of pytest's output counts, as pytest itself reads it."""
    return pytest.RunResult.parse_summary_nouns(text.splitlines())


class Project:
    """A folder with scenarios, a registry that holds all of them, and an ini file."""

    def __init__(self, pytester: pytest.Pytester, *, workers: int = 0) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.workers = workers
        self.ini(**INI)
        self.registry()

    def ini(self, **settings: str) -> None:
        """Write the ini file anew, with these settings of ours only."""
        lines = [f"specbench_{name} = {value}" for name, value in settings.items()]
        (self.path / "pytest.ini").write_text("\n".join(["[pytest]", *lines, ""]), "utf-8")

    def more_ini(self, **settings: str) -> None:
        """The usual settings and some more; an empty value takes one away."""
        self.ini(**{name: value for name, value in (INI | settings).items() if value})

    def registry(self, *rows: dict[str, Any], path: str = "registry.json") -> None:
        """Write the registry; without rows, `suite==1.0` holds every scenario of the project."""
        plain = {
            "name": "suite",
            "version": "1.0",
            "terminal_bench_version": ">=0.2.18",
            "github_url": ".",
            "dataset_path": ".",
            "branch": "main",
            "commit_hash": "head",
        }
        content = [plain | row for row in rows or ({},)]
        (self.path / path).write_text(json.dumps(content, indent=1), "utf-8")

    def scenario(self, scenario_id: str = "demo", *, file: str | None = None, **changes: Any) -> Path:
        """Add a scenario; `file` names its file, which is else called like the scenario."""
        path = self.path / (file or f"{scenario_id}.scenario.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(scenario(scenario_id, **changes), sort_keys=False), "utf-8")
        return path

    def maintained(self) -> None:
        """Whoever git says runs this is a maintainer."""
        self.file("baselines/maintainers.yaml", "maintainers: [{principal: mara@example.org, rotations: [guild]}]\n")
        self.file(".gitconfig", "[user]\n\temail = mara@example.org\n")  # pytester's home is the project

    def file(self, name: str, text: str, *, executable: bool = False) -> Path:
        """Add any file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        if executable:
            path.chmod(0o755)
        return path

    def module(self, name: str, text: str) -> None:
        """Add a Python module that can be imported by name, in this process and in those that it starts."""
        self.file(f"{name}.py", "from __future__ import annotations\n" + text)
        self.pytester.syspathinsert(self.path)
        paths = [str(self.path), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.pytester._monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))

    def run(self, *arguments: str) -> Ran:
        """Run pytest: inside this process, or in a process of its own with the workers asked for."""
        if self.workers:
            return self.process(f"-n{self.workers}", *arguments)
        return self._ran(self.pytester.runpytest_inprocess(*LEAN, *arguments))

    def process(self, *arguments: str) -> Ran:
        """Run pytest in a process of its own, so that what it prints is told apart."""
        return self._ran(self.pytester.runpytest_subprocess(*LEAN, *arguments))

    def specbench(self, *arguments: str, module: bool = True) -> Ran:
        """Run the command line."""
        import sys

        command = (
            [sys.executable, "-m", "pytest_specbench"] if module else [Path(sys.executable).with_name("specbench")]
        )
        return self._ran(self.pytester.run(*command, *arguments))

    def _ran(self, result: pytest.RunResult) -> Ran:
        return Ran(
            code=int(result.ret),
            out="\n".join(result.outlines),
            err="\n".join(result.errlines),
            root=self.path / ".terminalbench",
        )


SAID_OF_THE_DEAD = """
import json

def pytest_runtest_logreport(report):
    if report.failed and not hasattr(report, "specbench"):
        with open("dead.jsonl", "a") as file:
            file.write(json.dumps([report.nodeid, report.longreprtext]) + "\\n")
"""
"""A conftest.py that keeps what pytest-xdist says of an item whose worker died."""


def said_of_the_dead(project: Project, scenario_id: str) -> str:
    """What it said of that scenario, in its own words."""
    lines = (project.path / "dead.jsonl").read_text("utf-8").splitlines()
    (said,) = [text for nodeid, text in map(json.loads, lines) if nodeid.endswith(f"::{scenario_id}")]
    assert said
    return str(said)


@contextmanager
def no_process_with(mark: str) -> Iterator[None]:
    """Whatever runs with `mark` on its command line has ended when the block ends."""
    yield
    assert living_with(mark) == []


def living_with(mark: str) -> list[str]:
    """Command lines on this machine that contain `mark`, this process left out."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if mark in line and process.info["pid"] != os.getpid() and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found
