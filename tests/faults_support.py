"""What holds after every fault of the infrastructure: a verdict, no traceback, valid artifacts, nothing left behind."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from scenario_files import Ran

from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.recording.atif import check_trajectory
from pytest_specbench.recording.files import hash_tree
from pytest_specbench.recording.metadata import TrialMetadata, TrialSummary


def assert_clean_end(ran: Ran) -> None:
    """The run ended by itself, told by the report, and what is on disk can be read and is what the record says."""
    assert "Traceback" not in ran.out + ran.err
    assert not list(ran.folder.rglob("internal_error.txt"))
    assert not list(ran.folder.rglob("*.tmp"))
    for row in ran.report["scenarios"]:
        _assert_record(ran.folder, row["scenario_id"])
    assert left_threads() == []


def _assert_record(folder: Path, scenario_id: str) -> None:
    run = BenchmarkRun.model_validate_json((folder / scenario_id / "run.json").read_bytes())
    found = hash_tree(folder / scenario_id)
    assert {name: digest for name, digest in found.items() if name != "run.json"} == run.artifact_hashes
    for trial in run.trials:
        place = folder / trial.artifacts_path
        assert all(milliseconds >= 0 for milliseconds in trial.phases_ms.values())
        TrialMetadata.model_validate_json((place / "run_metadata.json").read_bytes())
        summary = TrialSummary.model_validate_json((place / "summary.json").read_bytes())
        assert (summary.status, summary.cause) == (trial.outcome, trial.cause)
        assert check_trajectory(place / "atif" / "trajectory.json") == []
        for name in ("agent.cast", "raw/events.jsonl"):
            for line in (place / name).read_text("utf-8").splitlines():
                json.loads(line)


def left_threads() -> list[str]:
    """Names of our threads that do not end by themselves."""
    ours = [each for each in threading.enumerate() if each.name.startswith("specbench")]
    for thread in ours:
        thread.join(30)
    return [thread.name for thread in ours if thread.is_alive()]
