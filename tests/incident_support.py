"""Sessions that end, for the tests of incidents: benchmark runs with artifacts, in a repository, and who is told."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import reporting_samples as samples
from incident_server import TOKEN, TrackerServer

from pytest_specbench.core.records import BenchmarkRun, Fingerprint
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause, Status
from pytest_specbench.incidents.session import with_incidents
from pytest_specbench.reporting.incident import IncidentReport

INSTRUMENT = {"agent": "command", "sandbox": "local", "approval_mode": "full-access"}


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, as somebody with a name, whatever this machine's configuration says."""
    who = ["-c", "user.name=Tester", "-c", "user.email=tester@example.invalid", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def failing(scenario_id: str = "plan", **changes: Any) -> BenchmarkRun:
    """The agent left no plan."""
    return known(scenario_id, Status.REGRESSION, **{"cause": Cause.ARTIFACT_MISSING, "notes": "no plan.md", **changes})


def passing(scenario_id: str = "plan", **changes: Any) -> BenchmarkRun:
    """All is well again."""
    return known(scenario_id, Status.PASS, **changes)


def known(
    scenario_id: str, status: Status, *, instrument: dict[str, Any] | None = None, **changes: Any
) -> BenchmarkRun:
    """A benchmark run with a fingerprint."""
    fingerprint = Fingerprint(
        instrument=INSTRUMENT | (instrument or {}), subject={"agent_version": "2"}, host={"class": "test"}
    )
    fields: dict[str, Any] = {"fingerprint": fingerprint, "commit_sha": "c0ffee" * 6 + "abcd", "clean": True, **changes}
    return samples.run(scenario_id, status, **fields)


@dataclass
class Desk:
    """A repository, and what its sessions tell."""

    path: Path
    incidents: str = "folder"
    branches: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    seconds: float = 30.0
    artifacts: str = ".terminalbench"
    sessions: int = 0

    @property
    def output(self) -> Path:
        """The artifact root."""
        return self.path / self.artifacts

    @property
    def tickets(self) -> list[Path]:
        """The files of the folder channel."""
        return sorted((self.output / "incidents").glob("*.md"))

    @property
    def kept(self) -> list[Path]:
        """The messages that wait."""
        return sorted((self.output / "incidents" / "outbox").glob("*.json"))

    def settings(self, **changes: Any) -> Settings:
        """The settings of the session to come."""
        self.sessions += 1
        run_folder = self.output / "runs" / f"run-{self.sessions}"
        plain = Settings(
            root=self.path,
            work_tree=self.path,
            output=self.output,
            run_folder=run_folder,
            baselines=self.path / "baselines",
            incidents=self.incidents,
            incident_branches=self.branches,
        )
        return replace(plain, **changes)

    def ends(self, *runs: BenchmarkRun, interrupted: bool = False, **changes: Any) -> list[IncidentReport]:
        """A session with these verdicts ends; what its report says of incidents."""
        settings, run_id = self.settings(**changes), uuid4()
        told = [self._with_artifacts(run.model_copy(update={"run_id": run_id}), settings.run_folder) for run in runs]
        report = samples.report(*told).model_copy(update={"interrupted": interrupted})
        after = with_incidents(report, told, settings, environ=self.environ, seconds=self.seconds)
        assert after.exit_code == report.exit_code
        assert after.scenarios == report.scenarios
        return list(after.incidents)

    def did(self, *runs: BenchmarkRun, **changes: Any) -> list[str]:
        """The actions of a session."""
        return [row.action for row in self.ends(*runs, **changes)]

    def _with_artifacts(self, run: BenchmarkRun, folder: Path) -> BenchmarkRun:
        trial = folder / run.scenario_id / "trial-01"
        (trial / "raw").mkdir(parents=True)
        (trial / "agent.cast").write_text('{"version": 2}\n', "utf-8")
        (trial / "post-test.txt").write_text("FAIL plan.md\nexit status: 2\n", "utf-8")
        (trial / "raw" / "events.jsonl").write_text('{"event": "command", "command": "make plan"}\n', "utf-8")
        return run


def desk(path: Path, **fields: Any) -> Desk:
    """A desk in a repository of its own, on its default branch."""
    git(path, "init", "-q", "-b", "main")
    git(path, "commit", "-q", "--allow-empty", "-m", "begun")
    return Desk(path, **fields)


def tracker_desk(path: Path, server: TrackerServer, kind: str, **fields: Any) -> Desk:
    """A desk that tells a tracker of both kinds of API."""
    environ = {"GITHUB_TOKEN": TOKEN, "GITLAB_TOKEN": TOKEN, "GITHUB_API_URL": server.url, "CI_API_V4_URL": server.url}
    return desk(path, incidents=f"{kind}:team/tool", environ=environ, **fields)


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imported into a module, it keeps that module's requests away from a proxy of whoever runs the tests."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
