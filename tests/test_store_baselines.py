"""The baseline folder as a store: records are immutable, and a broken one is never a missing one."""

from __future__ import annotations

import json
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from core_samples import NOW, baseline

from pytest_specbench.core.baselines import BaselineRecord
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.store.baselines import MAX_BYTES, read_baselines, write_baseline


@pytest.fixture
def record() -> BaselineRecord:
    return baseline()


def again(record: BaselineRecord, name: str, supersedes: str | None = None) -> BaselineRecord:
    """A later record of the same scenario."""
    update = {"baseline_id": name, "supersedes_baseline_id": supersedes, "recorded_at": NOW + timedelta(days=1)}
    return record.model_copy(update=update)


def test_what_was_written_is_what_is_read(tmp_path: Path, record: BaselineRecord) -> None:
    path = write_baseline(tmp_path, record)

    found = read_baselines(tmp_path, record.scenario_id)

    assert path == tmp_path / record.scenario_id / f"{record.baseline_id}.json"
    assert list(found.records) == [record]
    assert found.active == [record]
    assert found.ever_active


def test_a_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    found = read_baselines(tmp_path / "gone", "demo")

    assert not found.active
    assert not found.ever_active


def test_a_record_is_never_written_over(tmp_path: Path, record: BaselineRecord) -> None:
    path = write_baseline(tmp_path, record)
    before = path.read_bytes()

    with pytest.raises(FileExistsError):
        write_baseline(tmp_path, record.model_copy(update={"notes": "something else"}))

    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_of_several_that_write_the_same_record_one_wins(tmp_path: Path, record: BaselineRecord) -> None:
    start, won, lost = threading.Barrier(6), [], []

    def attempt(number: int) -> None:
        start.wait()
        try:
            won.append(write_baseline(tmp_path, record.model_copy(update={"notes": f"by {number}"})))
        except FileExistsError:
            lost.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(won), len(lost)) == (1, 5)
    assert read_baselines(tmp_path, record.scenario_id).records[0].notes.startswith("by ")
    assert [entry.name for entry in won[0].parent.iterdir()] == [won[0].name]


def test_a_chain_of_records_has_one_active_one(tmp_path: Path, record: BaselineRecord) -> None:
    second = again(record, "demo-second", record.baseline_id)
    third = again(record, "demo-third", "demo-second")
    for each in (third, record, second):
        write_baseline(tmp_path, each)

    found = read_baselines(tmp_path, record.scenario_id)

    assert found.active == [third]
    assert len(found.records) == 3


def refused(root: Path, scenario_id: str, *, required: bool = False) -> str:
    with pytest.raises(BlockedError) as caught:
        read_baselines(root, scenario_id, required=required)
    assert caught.value.cause is Cause.BASELINE_INVALID
    return str(caught.value)


def test_a_link_of_the_chain_that_is_gone_blocks(tmp_path: Path, record: BaselineRecord) -> None:
    write_baseline(tmp_path, record)
    middle = write_baseline(tmp_path, again(record, "demo-second", record.baseline_id))
    write_baseline(tmp_path, again(record, "demo-third", "demo-second"))
    middle.unlink()

    assert "it supersedes 'demo-second', of which there is no record" in refused(tmp_path, record.scenario_id)


def test_one_that_is_huge_a_pipe_or_a_link_to_nowhere_blocks(tmp_path: Path, record: BaselineRecord) -> None:
    path = write_baseline(tmp_path, record)
    with path.open("r+b") as file:
        file.truncate(MAX_BYTES + 1)
    assert "larger than" in refused(tmp_path, record.scenario_id)
    path.unlink()
    os.mkfifo(path)
    assert "no regular file" in refused(tmp_path, record.scenario_id)
    path.unlink()
    path.symlink_to("gone")
    assert str(path) in refused(tmp_path, record.scenario_id)
    path.unlink()
    path.symlink_to(path.name)
    assert str(path) in refused(tmp_path, record.scenario_id)


def test_a_copy_under_another_name_blocks(tmp_path: Path, record: BaselineRecord) -> None:
    path = write_baseline(tmp_path, record)
    path.with_name("copy.json").write_bytes(path.read_bytes())

    assert "it calls itself" in refused(tmp_path, record.scenario_id)


def test_what_an_editor_leaves_beside_it_is_no_record(tmp_path: Path, record: BaselineRecord) -> None:
    path = write_baseline(tmp_path, record)
    path.with_suffix(".json~").write_text("{")
    path.with_name(f".{path.stem}.abc.tmp").write_text("{")

    assert read_baselines(tmp_path, record.scenario_id).active == [record]


def test_a_root_that_was_asked_for_must_be_there(tmp_path: Path, record: BaselineRecord) -> None:
    assert "there is no such folder" in refused(tmp_path / "gone", "demo", required=True)
    write_baseline(tmp_path, record)
    assert read_baselines(tmp_path, record.scenario_id, required=True).ever_active
    assert not read_baselines(tmp_path, "new", required=True).ever_active


def link_to_nothing(path: Path) -> None:
    path.symlink_to("gone")


def link_to_a_folder(path: Path) -> None:
    path.with_name("real").mkdir()
    path.symlink_to("real")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


NO_FOLDER = [Path.touch, link_to_nothing, link_to_itself, os.mkfifo]


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("make", NO_FOLDER)
def test_a_root_that_is_no_folder_blocks(tmp_path: Path, make: Any, *, required: bool) -> None:
    make(tmp_path / "baselines")

    assert "it is no folder" in refused(tmp_path / "baselines", "demo", required=required)


@pytest.mark.parametrize("make", [*NO_FOLDER, link_to_a_folder])
def test_what_stands_in_the_place_of_a_scenarios_folder_blocks(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "demo")

    assert "it is no folder" in refused(tmp_path, "demo")


def held(**changes: Any) -> dict[str, Any]:
    """The metrics of a record whose runtime is changed."""
    return {"runtime_ms": {"value": 100.0, "unit": "ms", "low": 100.0, "high": 100.0, "values": [100.0]} | changes}


def all_of(value: Any) -> dict[str, Any]:
    return held(value=value, low=value, high=value, values=[value])


EDITED: dict[str, dict[str, Any]] = {
    "a value that its trials do not have": {"metrics": held(value=1e9)},
    "another lowest": {"metrics": held(low=1.0)},
    "another highest": {"metrics": held(high=1e9)},
    "no trials": {"metrics": held(values=[])},
    "another trial": {"metrics": held(values=[100.0, 1e9])},
    "a trial that was not measured": {"metrics": held(values=[100.0, None])},
    "no value": {"metrics": held(value=None, values=[None], low=None, high=None)},
    "another unit": {"metrics": held(unit="s")},
    "a reason": {"metrics": held(reason="so there")},
    "more than there can be": {"metrics": all_of(1e300)},
    "an integer beyond every float": {"metrics": all_of(10**400)},
    "a subnormal": {"metrics": all_of(5e-324)},
    "a truth in place of a number": {"metrics": all_of(True)},
    "a text": {"metrics": all_of("fast")},
    "an unknown metric": {"metrics": {"luck": held()["runtime_ms"]}},
    "an unknown metric on no host": {
        "metrics": {"luck": held()["runtime_ms"]},
        "fingerprint": {"instrument": {}, "subject": {}, "host": {"class": "portable"}},
    },
    "a naive time": {"recorded_at": "2026-11-22T10:15:30"},
    "no time": {"recorded_at": "yesterday"},
    "a time beyond all": {"recorded_at": 1e300},
    "an infinite number": {"metrics": all_of(float("inf"))},
    "no number": {"metrics": all_of(float("nan"))},
    "half a character": {"notes": "\ud800"},
}


@pytest.mark.parametrize("changes", EDITED.values(), ids=EDITED)
def test_a_record_that_contradicts_itself_blocks(
    tmp_path: Path, record: BaselineRecord, changes: dict[str, Any]
) -> None:
    path = write_baseline(tmp_path, record)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    said = refused(tmp_path, record.scenario_id)

    assert str(path) in said
    assert "fits its name, its folder and its own values" in said


def test_several_trials_are_checked_by_their_median(tmp_path: Path, record: BaselineRecord) -> None:
    path = write_baseline(tmp_path, record)
    metrics = {
        **held(value=2.5, low=1, high=9, values=[1, 9, 2, 3.0]),
        "success": {"value": False, "unit": "bool", "low": False, "high": True, "values": [True, False]},
        "exit_status": {"value": -9, "unit": "code", "low": -9, "high": -9, "values": [-9]},
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": metrics}))

    assert read_baselines(tmp_path, record.scenario_id).records[0].metrics["runtime_ms"].value == 2.5
