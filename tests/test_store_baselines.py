"""The baseline folder as a store: records are immutable, and a broken one is never a missing one."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path

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


def refused(root: Path, scenario_id: str) -> str:
    with pytest.raises(BlockedError) as caught:
        read_baselines(root, scenario_id)
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
