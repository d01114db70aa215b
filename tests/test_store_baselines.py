"""The baseline folder as a store: records are immutable, counted by the audit trail, and never lost or half there."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from core_samples import fingerprint
from store_support import (
    ANYBODY,
    BUNDLE,
    MARA,
    START,
    acknowledgement,
    add,
    approve,
    commit,
    entries,
    entry_for,
    git,
    record_of,
    retirement,
)

from pytest_specbench.core.approval.audit import sha256
from pytest_specbench.core.approval.baselines import BaselineRecord
from pytest_specbench.core.errors import ApprovalRefusedError, BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.core.transitions import BaselineStatus
from pytest_specbench.store.baselines.audit import read_trail
from pytest_specbench.store.baselines.records import (
    MAX_BYTES,
    Baselines,
    approving,
    read_baselines,
    record_bytes,
    verify_baselines,
    write_approved,
)
from pytest_specbench.store.trees import FolderTree


def read(root: Path, scenario_id: str = "s") -> Baselines:
    return read_baselines(FolderTree(root), scenario_id, ANYBODY)


def refused(root: Path, scenario_id: str = "s", *, required: bool = False) -> str:
    with pytest.raises(BlockedError) as caught:
        read_baselines(FolderTree(root, required=required), scenario_id, ANYBODY)
    assert caught.value.cause is Cause.BASELINE_INVALID
    return str(caught.value)


def problems(root: Path) -> list[str]:
    """What `baseline verify` says."""
    return [f"{problem.name}: {problem.what}" for problem in verify_baselines(FolderTree(root), ANYBODY)]


class TestAnApproval:
    def test_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        path = approve(tmp_path, record_of(1))

        found = read(tmp_path)

        assert path == tmp_path / "s" / f"{record_of(1).baseline_id}.json"
        assert dict(found.records) == {record_of(1).baseline_id: record_of(1)}
        assert found.active == [record_of(1)]
        assert found.ever_active
        assert {file.name: file.read_bytes() for file in path.with_suffix("").iterdir()} == BUNDLE
        assert problems(tmp_path) == []

    def test_retires_the_one_before(self, tmp_path: Path) -> None:
        for number in (1, 2, 3):
            approve(tmp_path, record_of(number))

        found = read(tmp_path)

        assert found.active == [record_of(3)]
        assert len(found.records) == 3
        newest = [filed.entry.baseline_id for filed in found.trail.entries]
        assert newest == [record_of(number).baseline_id for number in (1, 2, 3)]
        assert [len(filed.entry.parents) for filed in found.trail.entries] == [0, 1, 1]

    def test_of_another_host_class_or_scenario_retires_nothing(self, tmp_path: Path) -> None:
        approve(tmp_path, record_of(1))
        approve(tmp_path, record_of(2, fingerprint=fingerprint("elsewhere")))
        approve(tmp_path, record_of(3, scenario="other"))

        assert [record.baseline_id for record in read(tmp_path).active] == [
            record_of(1).baseline_id,
            record_of(2).baseline_id,
        ]

    def test_is_never_written_over(self, tmp_path: Path) -> None:
        path = approve(tmp_path, record_of(1))
        before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

        with pytest.raises(FileExistsError):
            approve(tmp_path, record_of(1, notes="something else"))

        assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
        assert path in before

    def test_that_is_older_than_the_newest_entry_is_refused(self, tmp_path: Path) -> None:
        approve(tmp_path, record_of(2))

        with pytest.raises(ApprovalRefusedError, match="newest audit entry is of 2026-03-03"):
            approve(tmp_path, record_of(1))

        assert len(entries(tmp_path)) == 1

    def test_on_a_broken_trail_is_refused(self, tmp_path: Path) -> None:
        approve(tmp_path, record_of(1))
        entries(tmp_path)[0].write_text("{")

        with pytest.raises(ApprovalRefusedError, match="the audit trail is broken"):
            approve(tmp_path, record_of(2))

    def test_that_cannot_be_signed_changes_nothing(self, tmp_path: Path) -> None:
        def refuse(data: bytes) -> bytes:
            raise RuntimeError("no key")

        with pytest.raises(RuntimeError):
            approve(tmp_path, record_of(1), signer=refuse)

        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["../out.json", "a/b", ".hidden", "", "a\0b"])
    def test_writes_no_bundle_outside_of_its_folder(self, tmp_path: Path, name: str) -> None:
        bundle = {name: b"x"}

        with pytest.raises(ValueError, match="no name of a file"):
            approve(tmp_path / "root", record_of(1, bundle=bundle), bundle=bundle)

        assert not (tmp_path / "root").exists()

    @pytest.mark.parametrize(
        "changes",
        [
            {"by": "ben@example.org"},
            {"key": "0" * 64},
            {"record_sha256": "0" * 64},
            {"parents": ("0" * 64,)},
            {"run_id": UUID(int=9)},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_whose_entry_does_not_fit_the_record_is_an_error(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="entry"):
            approve(tmp_path, record_of(1), **changes)

        assert entries(tmp_path) == []

    def test_that_fails_on_the_way_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        approve(tmp_path, record_of(1))
        before = set(tmp_path.rglob("*"))

        def full(*arguments: Any) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(os, "link", full)
        with pytest.raises(OSError, match="no space"):
            approve(tmp_path, record_of(2))

        assert set(tmp_path.rglob("*")) == before
        assert read(tmp_path).active == [record_of(1)]


class TestOfWhatIsHalfThere:
    def test_a_pending_record_counts_once_its_entry_is_there(self, tmp_path: Path) -> None:
        path = approve(tmp_path, record_of(1))
        path.rename(path.with_name(path.name + ".pending"))

        assert read(tmp_path).active == [record_of(1)]
        approve(tmp_path, record_of(2))
        assert path.is_file()
        assert not path.with_name(path.name + ".pending").exists()

    def test_a_pending_record_that_is_another_one_does_not(self, tmp_path: Path) -> None:
        path = approve(tmp_path, record_of(1))
        path.unlink()
        path.with_name(path.name + ".pending").write_bytes(record_bytes(record_of(1, notes="better")))

        assert "it is missing" in refused(tmp_path)

    def test_leftovers_are_nobodys_baselines_and_are_removed_by_the_next_approval(self, tmp_path: Path) -> None:
        path = approve(tmp_path, record_of(1))
        left = record_of(2)
        (path.parent / f"{left.baseline_id}.json.pending").write_bytes(record_bytes(left))
        (path.parent / left.baseline_id).mkdir()
        (path.parent / left.baseline_id / "summary.json").write_text("{}")
        (path.parent / ".x.json.abc.tmp").write_text("half")
        (tmp_path / "audit" / "20260101T000000.000000Z-0123456789abcdef.json.sig").write_text("sig")
        kept = tmp_path / "s" / "notes"
        kept.mkdir()

        assert read(tmp_path).active == [record_of(1)]
        assert problems(tmp_path) == []
        approve(tmp_path, record_of(3))

        assert sorted(file.name for file in path.parent.iterdir()) == sorted(
            [
                kept.name,
                *(
                    name
                    for number in (1, 3)
                    for name in (record_of(number).baseline_id, f"{record_of(number).baseline_id}.json")
                ),
            ]
        )
        assert len(list((tmp_path / "audit").iterdir())) == 2


def approve_after_the_barrier(root: Path, number: int, notes: str, barrier: Any) -> str:
    barrier.wait()
    try:
        approve(root, record_of(number, notes=notes, recorded_at=START))
    except FileExistsError:
        return "told"
    return "won"


class TestAtTheSameMoment:
    def at_once(self, root: Path, *numbers: int) -> list[str]:
        context = multiprocessing.get_context("spawn")
        with context.Manager() as manager, ProcessPoolExecutor(len(numbers), mp_context=context) as pool:
            barrier = manager.Barrier(len(numbers))
            told = [
                pool.submit(approve_after_the_barrier, root, number, f"by {index}", barrier)
                for index, number in enumerate(numbers)
            ]
            return sorted(future.result() for future in told)

    def test_of_two_processes_that_approve_the_same_run_one_wins_and_the_other_is_told(self, tmp_path: Path) -> None:
        assert self.at_once(tmp_path, 1, 1) == ["told", "won"]

        assert len(read(tmp_path).records) == 1
        assert problems(tmp_path) == []

    def test_two_processes_that_approve_different_runs_follow_each_other(self, tmp_path: Path) -> None:
        assert self.at_once(tmp_path, 1, 2) == ["won", "won"]

        trail = read(tmp_path).trail
        assert [len(filed.entry.parents) for filed in trail.entries] == [0, 1]
        assert len(trail.heads) == 1
        assert len(read(tmp_path).active) == 1
        assert problems(tmp_path) == []

    def test_a_reader_sees_the_old_or_the_new_state_and_never_half(self, tmp_path: Path) -> None:
        approve(tmp_path, record_of(1))
        done, seen, failed = threading.Event(), set(), []

        def look() -> None:
            while not done.is_set():
                try:
                    seen.add(len(read(tmp_path).records))
                except BlockedError as error:
                    failed.append(str(error))

        reader = threading.Thread(target=look)
        reader.start()
        for number in range(2, 15):
            approve(tmp_path, record_of(number))
        done.set()
        reader.join()

        assert failed == []
        assert seen <= set(range(1, 15))


class TestTwoBranches:
    def test_that_both_approved_merge_and_the_later_is_active(self, tmp_path: Path) -> None:
        """The next entry joins them."""
        root = tmp_path / "baselines"
        approve(root, record_of(1))
        commit(tmp_path)
        git(tmp_path, "checkout", "-q", "-b", "left")
        approve(root, record_of(5))
        commit(tmp_path)
        git(tmp_path, "checkout", "-q", "-b", "right", "main")
        approve(root, record_of(3))
        approve(root, record_of(4, scenario="other"))
        commit(tmp_path)

        git(tmp_path, "merge", "-q", "--no-edit", "left")

        assert problems(tmp_path / "baselines") == []
        found = read(root)
        assert found.active == [record_of(5)]
        assert set(found.records) == {record_of(number).baseline_id for number in (1, 3, 5)}
        assert len(found.trail.heads) == 2
        approve(root, record_of(6))
        joined = read(root).trail
        assert len(joined.entries[-1].entry.parents) == 2
        assert len(joined.heads) == 1

    def test_that_both_retired_the_same_one_merge(self, tmp_path: Path) -> None:
        root = tmp_path / "baselines"
        approve(root, record_of(1))
        commit(tmp_path)
        for name, days in (("left", 2), ("right", 3)):
            git(tmp_path, "checkout", "-q", "-b", name, "main")
            add(root, retirement(root, record_of(1), START + timedelta(days=days)))
            commit(tmp_path)

        git(tmp_path, "merge", "-q", "--no-edit", "left")

        assert problems(root) == []
        found = read(root)
        assert found.active == []
        assert found.ever_active
        assert found.trail.baselines[record_of(1).baseline_id].status is BaselineStatus.RETIRED


class TestWhatWasTamperedWithBlocksAndIsNamed:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """The record of the second of three approvals."""
        paths = [approve(tmp_path, record_of(number)) for number in (1, 2, 3)]
        return paths[1]

    def test_a_record_that_was_altered(self, tmp_path: Path, path: Path) -> None:
        path.write_text(path.read_text().replace("100.0", "900.0"))

        assert f"{path}: the baselines cannot be used: it was altered" in refused(tmp_path)
        assert entries(tmp_path)[1].name in refused(tmp_path)

    def test_a_record_that_is_gone(self, tmp_path: Path, path: Path) -> None:
        path.unlink()

        assert f"{path}: the baselines cannot be used: it is missing" in refused(tmp_path)

    def test_a_record_that_nobody_approved(self, tmp_path: Path, path: Path) -> None:
        path.with_name("s-new.json").write_bytes(record_bytes(record_of(4, baseline_id="s-new")))

        assert "s-new.json: the baselines cannot be used: no audit entry approves it" in refused(tmp_path)

    def test_a_record_in_another_scenarios_folder(self, tmp_path: Path, path: Path) -> None:
        (tmp_path / "other").mkdir()
        path.rename(tmp_path / "other" / path.name)

        assert "it is missing" in refused(tmp_path)
        assert "no audit entry approves it" in refused(tmp_path, "other")

    @pytest.mark.parametrize("number", [0, 1])
    def test_an_entry_that_is_gone(self, tmp_path: Path, path: Path, number: int) -> None:
        gone = entries(tmp_path)[number]
        gone.unlink()

        assert "is missing: an entry was removed" in refused(tmp_path)
        assert any(gone.stem.partition("-")[2] in problem for problem in problems(tmp_path))

    def test_the_newest_entry_that_is_gone_leaves_a_record_that_nobody_approved(
        self, tmp_path: Path, path: Path
    ) -> None:
        entries(tmp_path)[2].unlink()

        assert "no audit entry approves it" in refused(tmp_path)

    def test_an_entry_that_was_altered(self, tmp_path: Path, path: Path) -> None:
        entry = entries(tmp_path)[1]
        entry.write_text(entry.read_text().replace(MARA, "eve@example.org"))

        assert f"{entry}: the baselines cannot be used: it was altered" in refused(tmp_path)

    def test_entries_that_changed_places(self, tmp_path: Path, path: Path) -> None:
        first, second = entries(tmp_path)[:2]
        kept = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(kept)

        assert [problem for problem in problems(tmp_path) if "it was altered" in problem and first.name in problem]
        assert [problem for problem in problems(tmp_path) if "it was altered" in problem and second.name in problem]

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 100_000], ids=range(6))
    def test_an_entry_that_is_none(self, tmp_path: Path, path: Path, content: bytes) -> None:
        entries(tmp_path)[1].write_bytes(content)

        assert "it is no audit entry" in refused(tmp_path)

    def test_an_entry_with_a_key_that_is_there_twice(self, tmp_path: Path, path: Path) -> None:
        entry = entries(tmp_path)[2]
        entry.write_text(entry.read_text().replace('"by"', '"by": "eve@example.org",\n  "by"'))

        assert "the key 'by' is there twice" in refused(tmp_path)

    def test_a_bundle_is_looked_at_by_verify_and_not_by_each_gate(self, tmp_path: Path, path: Path) -> None:
        bundle = path.with_suffix("")
        (bundle / "summary.json").write_text("[]")
        (bundle / "agent.cast").unlink()

        assert len(read(tmp_path).records) == 3
        assert problems(tmp_path) == [
            f"s/{bundle.name}/agent.cast: it is missing, and {entries(tmp_path)[1].name} names it",
            f"s/{bundle.name}/summary.json: it was altered: {entries(tmp_path)[1].name} names another content",
        ]

    def test_another_scenarios_record_blocks_only_that_one(self, tmp_path: Path, path: Path) -> None:
        other = approve(tmp_path, record_of(4, scenario="other"))
        other.unlink()

        assert read(tmp_path).active == [record_of(3)]
        assert "it is missing" in refused(tmp_path, "other")

    def test_an_entry_that_contradicts_its_record(self, tmp_path: Path) -> None:
        """Nobody writes such; a hand-made one must not make a record active for another key."""
        from pytest_specbench.store.baselines.audit import append

        record = record_of(1, bundle={})
        entry = entry_for(record, sha256(record_bytes(record)), {}, tmp_path, key="0" * 64)
        (tmp_path / "s").mkdir()
        (tmp_path / "s" / f"{record.baseline_id}.json").write_bytes(record_bytes(record))
        append(tmp_path, entry, None)

        assert "another key" in refused(tmp_path)

    def test_an_entry_that_leads_outside(self, tmp_path: Path, path: Path) -> None:
        entry = entries(tmp_path)[1]
        entry.write_text(entry.read_text().replace(f'"{path.stem}"', '"../../x"'))

        assert "baseline_id" in refused(tmp_path)


def test_a_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    found = read(tmp_path / "gone")

    assert not found.active
    assert not found.ever_active
    assert problems(tmp_path / "gone") == []


def test_an_acknowledgement_makes_no_baseline(tmp_path: Path) -> None:
    add(tmp_path, acknowledgement(tmp_path, START, START.date() + timedelta(days=9)))

    found = read(tmp_path)

    assert not found.ever_active
    assert len(found.trail.acknowledgements("s", [found.trail.entries[0].entry.key], START.date())) == 1


def test_a_scenario_cannot_be_called_like_the_audit_folder(tmp_path: Path) -> None:
    with pytest.raises(BlockedError, match="cannot be called 'audit'"):
        read(tmp_path, "audit")


def test_what_an_editor_leaves_beside_it_is_no_record(tmp_path: Path) -> None:
    path = approve(tmp_path, record_of(1))
    path.with_suffix(".json~").write_text("{")
    path.with_name(f".{path.stem}.abc.tmp").write_text("{")
    (tmp_path / "README.md").write_text("What this is.")

    assert read(tmp_path).active == [record_of(1)]
    assert problems(tmp_path) == []


def test_a_root_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    assert "there is no such folder" in refused(tmp_path / "gone", required=True)
    approve(tmp_path, record_of(1))
    assert read_baselines(FolderTree(tmp_path, required=True), "s", ANYBODY).ever_active
    assert not read_baselines(FolderTree(tmp_path, required=True), "new", ANYBODY).ever_active


def test_a_record_that_is_huge_a_pipe_or_a_link_blocks(tmp_path: Path) -> None:
    path = approve(tmp_path, record_of(1))
    with path.open("r+b") as file:
        file.truncate(MAX_BYTES + 1)
    assert "larger than" in refused(tmp_path)
    path.rename(path.with_name("real"))
    path.symlink_to("real")
    assert "it is a link" in refused(tmp_path)
    path.unlink()
    os.mkfifo(path)
    assert "no regular file" in refused(tmp_path)


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

    assert "it is no folder" in refused(tmp_path / "baselines", required=required)


@pytest.mark.parametrize("name", ["s", "audit"])
@pytest.mark.parametrize("make", [*NO_FOLDER, link_to_a_folder])
def test_what_stands_in_the_place_of_a_folder_blocks(tmp_path: Path, make: Any, name: str) -> None:
    make(tmp_path / name)

    assert "it is no folder" in refused(tmp_path)


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


def force(root: Path, content: dict[str, Any]) -> None:
    """Have a record of any content approved, by entries that nobody's tool would write."""
    from pytest_specbench.store.baselines.audit import append

    record = record_of(1, bundle={})
    data = json.dumps(json.loads(record_bytes(record)) | content).encode()
    (root / "s").mkdir()
    (root / "s" / f"{record.baseline_id}.json").write_bytes(data)
    append(root, entry_for(record, sha256(data), {}, root), None)


@pytest.mark.parametrize("changes", EDITED.values(), ids=EDITED)
def test_a_record_that_contradicts_itself_blocks_even_when_it_is_approved(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    force(tmp_path, changes)

    said = refused(tmp_path)

    assert f"{record_of(1).baseline_id}.json" in said
    assert "its own values" in said


def test_several_trials_are_checked_by_their_median(tmp_path: Path) -> None:
    metrics = {
        **held(value=2.5, low=1, high=9, values=[1, 9, 2, 3.0]),
        "success": {"value": False, "unit": "bool", "low": False, "high": True, "values": [True, False]},
        "exit_status": {"value": -9, "unit": "code", "low": -9, "high": -9, "values": [-9]},
    }
    force(tmp_path, {"metrics": metrics})

    assert read(tmp_path).active[0].metrics["runtime_ms"].value == 2.5


def test_write_approved_is_for_the_inside_of_approving(tmp_path: Path) -> None:
    """Nothing else serialises the parents that an entry names."""
    approve(tmp_path, record_of(1))
    stale = read_trail(FolderTree(tmp_path)).heads
    approve(tmp_path, record_of(2))
    record: BaselineRecord = record_of(3)

    with approving(tmp_path), pytest.raises(ValueError, match="heads"):
        write_approved(
            tmp_path,
            record,
            BUNDLE,
            lambda digest, hashes: entry_for(record, digest, hashes, tmp_path, parents=stale),
            None,
        )
