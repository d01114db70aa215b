"""What the history of runs costs, with nothing recorded and with 100,000 benchmark runs. Prints, and asserts nothing.

    python tests/perf/history.py [COUNT] [SCENARIOS]

COUNT benchmark runs (100,000) of SCENARIOS scenarios a run (4) are written as tiny records into a temporary folder.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from reporting_samples import info
from reporting_samples import run as sample

from pytest_specbench.core.records import Fingerprint
from pytest_specbench.reporting.report import make_report, report_json
from pytest_specbench.store.runs.history import History, index_run

type Template = tuple[dict[str, Any], list[dict[str, Any]]]

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)


def main(count: int, scenarios: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / ".terminalbench"
        template = template_of(scenarios)
        (output / "runs").mkdir(parents=True)
        show("add one run, nothing recorded", add_times(output, template, first=0))
        began = time.perf_counter()
        for number in range(100, 100 + count // scenarios):
            write_run(output, template, number)
        written = time.perf_counter() - began
        print(f"wrote {count} records in {count // scenarios} run folders in {written:.1f} s (not ours to judge)")
        with History.open(output, lambda _: None) as history:
            rebuilt = timed(history.rebuild)
            runs, folders = history.count()
        size = (output / "index.sqlite").stat().st_size / 1e6
        print(f"index --rebuild: {rebuilt:.1f} s for {runs} benchmark runs in {folders} folders; {size:.0f} MB")
        show(f"add one run, {runs} recorded", add_times(output, template, first=10_000_000))
        command = [sys.executable, "-m", "pytest_specbench"]
        floor = [wall([*command, "--version"], folder) for _ in range(5)]
        show("specbench --version (a floor: starting Python)", floor)
        show("specbench report", [wall([*command, "report"], folder) for _ in range(5)])
        show(
            "specbench report --format json", [wall([*command, "report", "--format", "json"], folder) for _ in range(5)]
        )
        show("specbench report --run ID", [wall([*command, "report", "--run", run_id(200)], folder) for _ in range(5)])


def template_of(scenarios: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The report and the records of a run, small and valid."""
    fingerprint = Fingerprint(instrument={"scenario": "s", "cpus": 1.0}, subject={}, host={"class": "perf"})
    names = [f"scenario-{number}" for number in range(scenarios)]
    runs = [sample(name, fingerprint=fingerprint, clean=True, trials=(), metrics={}) for name in names]
    empty = {"run_metadata": None, "agent_cast": None, "post_test": None, "trajectory": None, "summary": None}
    report = report_json(make_report(runs, info=info()))
    for entry in report["scenarios"]:
        entry["artifacts"] = empty
    return report, [{**run.model_dump(mode="json"), "artifacts": empty} for run in runs]


def run_id(number: int) -> str:
    return str(uuid.UUID(int=(number << 96) | number))


def write_run(output: Path, template: Template, number: int) -> Path:
    at = BEGIN + timedelta(minutes=number)
    folder = output / "runs" / f"{at:%Y%m%dT%H%M%SZ}-{run_id(number)[:8]}"
    folder.mkdir()
    report, records = template
    for record in records:
        content = {**record, "run_id": run_id(number), "executed_at": at.isoformat()}
        (folder / record["scenario_id"]).mkdir()
        (folder / record["scenario_id"] / "run.json").write_text(json.dumps(content))
    entries = [{**entry, "executed_at": at.isoformat()} for entry in report["scenarios"]]
    content = {**report, "run_id": run_id(number), "run_folder": folder.name, "scenarios": entries}
    (folder / "report.json").write_text(json.dumps(content))
    return folder


def add_times(output: Path, template: Template, *, first: int) -> list[float]:
    """What a session pays at its end: open, add, close."""
    folders = [write_run(output, template, first + number) for number in range(20)]
    return [timed(lambda folder=folder: index_run(output, folder)) for folder in folders][1:]  # the first makes it


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def wall(command: list[str], folder: str) -> float:
    def work() -> None:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return timed(work)


def show(what: str, times: list[float]) -> None:
    print(f"{what}: median {statistics.median(times) * 1000:.1f} ms, worst {max(times) * 1000:.1f} ms of {len(times)}")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*[*given, *(100_000, 4)[len(given) :]])
