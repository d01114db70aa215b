"""Projects whose runs are compared: real git repositories, locks, and baselines that rest on a real run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scenario_files import Project, Ran

from pytest_specbench.core.approval.audit import Action, AuditEntry, comparison_key
from pytest_specbench.core.approval.baselines import Approval, BaselineRecord, propose
from pytest_specbench.core.metrics import summary_of
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.store.baselines.audit import read_trail
from pytest_specbench.store.baselines.records import approving, write_approved
from pytest_specbench.store.trees import FolderTree

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
"""When the approvals of the tests are given."""

MAINTAINER = "maintainer@example.invalid"
"""Who gives them."""

CALM = {"runtime_ms": 1e9, "peak_memory_mb": 1e9, "cpu_ms": 1e9}
"""Approved values that no run on any machine exceeds."""

STRICT = {"runtime_ms": 1e-3, "peak_memory_mb": 1e-3}
"""Approved values that every run exceeds."""


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, as somebody with a name, whatever this machine's configuration says."""
    who = ["-c", "user.name=Tester", "-c", "user.email=tester@example.invalid", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def commit(project: Project) -> None:
    """Make the project a git repository that holds all of it."""
    if not (project.path / ".git").exists():
        project.file(".gitignore", "__pycache__/\n.pytest_cache/\n/stdout\n/stderr\n")
        git(project.path, "init", "-q")
    git(project.path, "add", "-A")
    git(project.path, "commit", "-q", "--allow-empty", "-m", "as it is")


def lock_content(project: Project, folder: str = ".") -> dict[str, Any]:
    """The lock file of a folder."""
    content: dict[str, Any] = json.loads((project.path / folder / "specbench.lock").read_text("utf-8"))
    return content


def benchmark_run(ran: Ran, scenario_id: str = "demo") -> BenchmarkRun:
    """The record that a run left."""
    return BenchmarkRun.model_validate(ran.run(scenario_id))


def approve(
    project: Project,
    ran: Ran,
    scenario_id: str = "demo",
    *,
    metrics: Mapping[str, float | int | bool] | None = None,
    portable: bool = False,
    host: str | None = None,
    at: datetime = NOW,
    supersedes: str | None = None,
    lacking: Container[str] = (),
    **changes: Any,
) -> BaselineRecord:
    """Make a run the baseline, as an approval would. `metrics` gives some of them other values (by default: values
    that no machine exceeds), `host` gives it another host class, those of `lacking` are left out, `changes` replace
    fields of the record.
    """
    approval = Approval(
        by=MAINTAINER, rotation="maintainers", notes="good enough", at=at, portable=portable, supersedes=supersedes
    )
    record = propose([benchmark_run(ran, scenario_id)], approval, {})
    values = CALM | dict(metrics or {})
    known = {
        name: summary_of(name, (values[name],)) if name in values else summary
        for name, summary in record.metrics.items()
        if name not in lacking
    }
    update: dict[str, Any] = {"metrics": known, **changes}
    if host is not None:
        fingerprint = record.fingerprint
        update["fingerprint"] = fingerprint.model_copy(update={"host": {**fingerprint.host, "class": host}})
    record = record.model_copy(update=update)
    write(project.path / "baselines", record)
    return record


def write(root: Path, record: BaselineRecord, **changes: Any) -> Path:
    """Write a record with the audit entry that approves it, not signed; `changes` replace fields of the entry."""
    with approving(root):
        parents = read_trail(FolderTree(root)).heads

        def entry(digest: str, bundle: dict[str, str]) -> AuditEntry:
            fields: dict[str, Any] = {
                "action": Action.APPROVE,
                "at": record.recorded_at,
                "by": record.approved_by,
                "rotation": record.rotation,
                "verified": False,
                "scenario_id": record.scenario_id,
                "key": comparison_key(record.fingerprint, record.host_class),
                "baseline_id": record.baseline_id,
                "record_sha256": digest,
                "bundle": bundle,
                "run_id": record.run_ids[-1],
                "reason": record.notes,
                "parents": parents,
            }
            return AuditEntry(**(fields | changes))

        return write_approved(root, record, {}, entry, None)
