"""Run folders for the tests of history: whole and valid as a session leaves them, made without running anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from reporting_samples import info
from reporting_samples import run as sample

from pytest_specbench.cli import main
from pytest_specbench.core.records import ArtifactPaths, BenchmarkRun, Fingerprint
from pytest_specbench.reporting.report import make_report, report_json

BEGIN = datetime(2026, 11, 1, 12, tzinfo=UTC)
INSTRUMENT = Fingerprint(instrument={"scenario": "s"}, subject={"agent_version": "1"}, host={"class": "h1"})


def run_id(number: int) -> UUID:
    """The id of the run of a number; its first eight digits tell it from the others."""
    return UUID(int=(number << 96) | number)


def benchmark_run(number: int, scenario_id: str = "specify", **changes: Any) -> BenchmarkRun:
    """A passing benchmark run of a clean commit; run 2 is an hour after run 1."""
    fields: dict[str, Any] = {
        "run_id": run_id(number),
        "executed_at": BEGIN + timedelta(hours=number),
        "fingerprint": INSTRUMENT,
        "clean": True,
        "artifacts": ArtifactPaths(),
        **changes,
    }
    return sample(scenario_id, **fields)


def write_run(output: Path, number: int, *runs: BenchmarkRun, report: bool = True) -> Path:
    """The folder of a run below an artifact root, with an artifact a benchmark run; without runs, one passing."""
    runs = runs or (benchmark_run(number),)
    at = BEGIN + timedelta(hours=number)
    folder = output / "runs" / f"{at:%Y%m%dT%H%M%SZ}-{run_id(number).hex[:8]}"
    whole = [with_artifact(folder, run) for run in runs]
    for run in whole:
        (folder / run.artifacts_path / "run.json").write_text(run.model_dump_json(indent=2) + "\n", "utf-8")
    if report:
        last = list({run.scenario_id: run for run in whole}.values())
        about = info(run_id=run_id(number), run_folder=f".terminalbench/runs/{folder.name}", generated_at=at)
        (folder / "report.json").write_text(json.dumps(report_json(make_report(last, info=about))), "utf-8")
    return folder


CAST = b'{"version": 2, "width": 80, "height": 24}\n'
LEFT = {"agent.cast": CAST, "run_metadata.json": b"{}\n", "summary.json": b"{}\n", "atif/trajectory.json": b"{}\n"}
"""What a trial leaves."""


def with_artifact(folder: Path, run: BenchmarkRun) -> BenchmarkRun:
    """The run with a trial on disk whose files it names."""
    place = folder / run.artifacts_path / "trial-01"
    (place / "atif").mkdir(parents=True)
    for name, data in LEFT.items():
        (place / name).write_bytes(data)
    (place / "run-metadata.json").symlink_to("run_metadata.json")
    there = f"{run.artifacts_path}/trial-01"
    return run.model_copy(
        update={
            "trials": tuple(trial.model_copy(update={"artifacts_path": there}) for trial in run.trials),
            "artifacts": ArtifactPaths(agent_cast=f"{there}/agent.cast"),
            "artifact_hashes": {f"trial-01/{name}": hashlib.sha256(data).hexdigest() for name, data in LEFT.items()},
        }
    )


class Answer:
    """What a command gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def report(self) -> dict[str, Any]:
        """Standard output, which holds the report and nothing else."""
        content: dict[str, Any] = json.loads(self.out)
        return content


type Command = Callable[..., Answer]


def command_line(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line, in an empty folder that is nobody's."""
    for name in ("SPECBENCH_ARTIFACTS", "SPECBENCH_BASELINES"):
        monkeypatch.delenv(name, raising=False)
    (path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(path)
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> Answer:
        code = main(list(arguments))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Answer(code, captured.out, captured.err)

    return run
