"""Files are wholly there or not at all; folders of runs and trials are never overwritten."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from pytest_specbench.core.metrics import Measurement
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.status import Cause, Outcome
from pytest_specbench.recording.files import hash_tree, safe_name, sha256_file, update_latest, write_json
from pytest_specbench.recording.folder import PostTestWriter, TrialFolder
from pytest_specbench.recording.metadata import TrialMetadata, TrialSummary, split_model, usage_of

STARTED = datetime(2026, 11, 22, 10, 15, 30, tzinfo=UTC)
RUN = UUID("1f3c9a2e-0000-4000-8000-000000000000")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def metadata(**changes: object) -> TrialMetadata:
    values = {
        "timestamp_utc": STARTED,
        "run_id": str(RUN),
        "trial_index": 1,
        "commit_sha": None,
        "version": "1.0",
        "agent_name": "nop",
        "agent_version": "1",
        "dataset_id": "d==1",
        "task_id": "s",
        "approval_mode": "minimal",
        "approval_mode_source": "default",
        "sandbox_backend": "local",
        "atif_schema_version": "ATIF-v1.6",
        "exit_status": None,
    }
    return TrialMetadata.model_validate({**values, **changes})


def test_json_is_written_whole_in_order_and_with_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": "é", "a": [1, None]})
    assert path.read_text("utf-8") == '{\n  "b": "é",\n  "a": [\n    1,\n    null\n  ]\n}\n'
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), object()])
def test_what_is_no_json_leaves_the_old_file_alone(tmp_path: Path, bad: object) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises((ValueError, TypeError)):
        write_json(path, {"a": bad})
    assert json.loads(path.read_text()) == {"a": 1}
    assert names(tmp_path) == ["a.json"]


def test_a_failed_replacement_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write_json(tmp_path / "a.json", {})
    assert names(tmp_path) == ["a.json"]


def test_folders_that_another_writer_fills_are_no_part_of_the_hashes(tmp_path: Path) -> None:
    for name in ("run.txt", "rerun-01/run.txt", "trial-01/rerun-01/kept.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")

    assert list(hash_tree(tmp_path, without="rerun-")) == ["run.txt", "trial-01/rerun-01/kept.txt"]


def test_a_tree_is_hashed_by_its_regular_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_bytes(b"1")
    (tmp_path / "a").write_bytes(b"2")
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "pipe")
    assert list(hash_tree(tmp_path).items()) == [
        ("a", sha256_file(tmp_path / "a")),
        ("b/x", sha256_file(tmp_path / "b" / "x")),
    ]


def test_safe_names_keep_plain_ones_and_keep_others_apart() -> None:
    assert safe_name("spec-kit.plan_1") == "spec-kit.plan_1"
    made = {safe_name(text) for text in ("a/b", "a b", "a-b", "../x", "", ".", "é" * 300)}
    assert len(made) == 7
    assert all("/" not in name and not name.startswith(".") and 0 < len(name) <= 100 for name in made)


def test_latest_is_a_relative_link_that_moves_on(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        update_latest(tmp_path, tmp_path / "runs" / name)
        assert str((tmp_path / "latest").readlink()) == f"runs/{name}"
    assert names(tmp_path) == ["latest", "runs"]


def test_latest_only_ever_points_at_a_run_and_replaces_nothing_but_a_link(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "runs" / "one").mkdir(parents=True)
    for wrong in (tmp_path, root, root / "runs" / "absent"):
        with pytest.raises(ValueError, match="no run folder"):
            update_latest(root, wrong)
    (root / "latest").write_text("mine")
    with pytest.raises(FileExistsError, match="no link"):
        update_latest(root, root / "runs" / "one")
    assert (root / "latest").read_text() == "mine"


def test_a_trial_folder_is_made_once_and_its_inner_folders_when_needed(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "spec", 1)
    assert folder.path == tmp_path / "spec" / "trial-01"
    assert names(folder.path) == []
    folder.trajectory.write_text("{}")
    folder.events.write_text("{}")
    assert sorted(hash_tree(folder.path)) == ["atif/trajectory.json", "raw/events.jsonl"]
    with pytest.raises(FileExistsError):
        TrialFolder(tmp_path / "spec", 1)
    assert TrialFolder(tmp_path / "spec", 1, again=True).path.name == "trial-01-again"


def test_metadata_lies_under_both_names_and_may_be_completed(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "spec", 1)
    folder.write_metadata(metadata())
    folder.write_metadata(metadata(exit_status=0))
    assert str((folder.path / "run-metadata.json").readlink()) == "run_metadata.json"
    data = json.loads((folder.path / "run-metadata.json").read_text())
    assert data["exit_status"] == 0
    assert {
        "timestamp_utc",
        "commit_sha",
        "version",
        "dataset_id",
        "task_id",
        "model_provider",
        "model_name",
        "approval_mode",
        "sandbox_backend",
        "atif_schema_version",
        "exit_status",
        "agent_name",
        "agent_version",
    } <= set(data)
    assert TrialMetadata.model_validate_json(folder.run_metadata.read_text()) == metadata(exit_status=0)


def test_where_links_are_impossible_the_second_name_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("links are not supported")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    folder = TrialFolder(tmp_path / "spec", 1)
    for status in (None, 3):
        folder.write_metadata(metadata(exit_status=status))
        assert (folder.path / "run-metadata.json").read_bytes() == folder.run_metadata.read_bytes()


def test_a_summary_says_unknown_and_never_zero(tmp_path: Path) -> None:
    usage = usage_of({"steps": Measurement(value=3)})
    summary = TrialSummary(
        scenario_id="s",
        trial_index=1,
        status=Outcome.SUCCESS,
        cause=Cause.VERIFIED,
        reason="ok",
        started_at=STARTED,
        duration_ms=1.5,
        usage=usage,
        cost_usd=Measurement.unknown("replay"),
        model="replay:x",
        approval_mode="minimal",
    )
    folder = TrialFolder(tmp_path / "s", 1)
    folder.write_summary(summary)
    data = json.loads(folder.summary.read_text())
    assert data["usage"]["input_tokens"] == {"value": None, "reason": "not reported"}
    assert data["usage"]["steps"]["value"] == 3
    assert data["cost_usd"] == {"value": None, "reason": "replay"}


def test_a_models_provider_is_what_stands_before_the_slash() -> None:
    assert split_model("openai/gpt-x") == ("openai", "openai/gpt-x")
    assert split_model("replay:/a/b.json") == ("replay", "replay:/a/b.json")
    assert split_model("gpt-x") == (None, "gpt-x")
    assert split_model(None) == (None, None)


def test_the_verifiers_output_is_appended_redacted_and_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "post-test.txt"
    with PostTestWriter(path, Redactor({"S": "secret-value"})) as writer:
        writer.write(b"a secret-")
        writer.write(b"value \xff\n")
        assert path.read_bytes() == b"a [redacted:S] \xff\n"
        writer.write(b"tail")
    assert path.read_bytes().endswith(b"tail")


def test_what_exceeds_the_limit_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "post-test.txt"
    with PostTestWriter(path, Redactor({}), limit=10) as writer:
        for _ in range(4):
            writer.write(b"12345\n")
    assert path.read_text() == "12345\n1234\n[cut here: 14 more bytes were left out]\n"
