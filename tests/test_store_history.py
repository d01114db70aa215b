"""The history of runs: whatever happens to the index, it is the folders that count."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import INSTRUMENT, benchmark_run, run_id, write_run
from scenario_files import Project

from pytest_specbench.core.approval.eligibility import Wanted, streak
from pytest_specbench.core.errors import BlockedError, RunNotFoundError
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.status import Cause, Status
from pytest_specbench.recording.attempts import ATTEMPTS as GATE_ATTEMPTS
from pytest_specbench.store.runs import run_folder
from pytest_specbench.store.runs.history import STALE, History, HistoryError, index_run
from pytest_specbench.store.runs.index import INDEX, VERSION, open_index
from pytest_specbench.store.runs.retention import Keep, candidates, protected_runs, prune
from pytest_specbench.store.runs.streak_ends import needed


@pytest.fixture
def output(tmp_path: Path) -> Path:
    root = tmp_path / ".terminalbench"
    (root / "runs").mkdir(parents=True)
    return root


class Said(list[str]):
    """What was told, instead of stderr."""

    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture
def said() -> Said:
    return Said()


def indexed(output: Path) -> list[str]:
    """Folders in the index file, as another tool would read them."""
    connection = sqlite3.connect(output / INDEX)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM folders ORDER BY name")]
    finally:
        connection.close()


def test_the_gates_name_for_attempts_is_ours() -> None:
    assert run_folder.ATTEMPTS == GATE_ATTEMPTS


class TestAdding:
    def test_a_run_is_one_row_a_benchmark_run(self, output: Path) -> None:
        folder = write_run(output, 1, benchmark_run(1, "specify"), benchmark_run(1, "plan"))

        with History.open(output) as history:
            assert history.count() == (2, 1)
            specify = next(row for row in history.latest() if row.scenario_id == "specify")
            assert history.add(folder) == 2
            assert history.count() == (2, 1)

        assert (specify.folder, specify.path, specify.run_id) == (folder.name, "specify/run.json", str(run_id(1)))
        assert (specify.status, specify.cause, specify.exit_code, specify.dataset) == (
            "pass", "verified", 0, "spec-kit==1",
        )  # fmt: skip
        assert (specify.host_class, specify.clean, specify.runtime_ms, specify.success) == ("h1", 1, 12_345.0, 1)
        assert specify.instrument == run_folder.hash_of(INSTRUMENT.instrument)

    def test_what_follows_a_session_needs_no_reader(self, output: Path, said: Said) -> None:
        index_run(output, write_run(output, 1), said)

        assert len(indexed(output)) == 1
        assert said == []

    def test_the_last_attempt_is_the_verdict(self, output: Path) -> None:
        failed = benchmark_run(1, status=Status.REGRESSION, cause=Cause.ARTIFACT_MISSING)
        again = benchmark_run(1, artifacts_path="specify/rerun-01")
        tenth = benchmark_run(1, artifacts_path="specify/rerun-10", status=Status.BLOCKED, cause=Cause.ENGINE_MISSING)
        write_run(output, 1, failed, again, tenth)

        with History.open(output) as history:
            assert history.count() == (3, 1)
            assert [(row.status, row.attempt) for row in history.latest()] == [("blocked", 10)]
            assert [run.status for run in history.runs("specify")] == [Status.BLOCKED]

    def test_a_folder_that_somebody_added_or_removed_is_noticed(self, output: Path, said: Said) -> None:
        first = write_run(output, 1)
        with History.open(output, said):
            pass
        write_run(output, 2)
        shutil.rmtree(first)

        with History.open(output, said) as history:
            assert [row.run_id for row in history.latest()] == [str(run_id(2))]
            assert history.sync() == (0, 0)

    def test_a_run_that_goes_on_is_looked_at_again(self, output: Path) -> None:
        folder = write_run(output, 1, report=False)
        with History.open(output) as history:
            assert history.folders()[0][3] is False
        shutil.copytree(folder / "specify", folder / "specify" / "rerun-01")
        again = benchmark_run(1, artifacts_path="specify/rerun-01", status=Status.BLOCKED, cause=Cause.NO_VERDICT)
        (folder / "specify" / "rerun-01" / "run.json").write_text(again.model_dump_json())

        with History.open(output) as history:
            assert [row.status for row in history.latest()] == ["blocked"]

    def test_what_is_no_run_folder_is_passed_over(self, output: Path) -> None:
        (output / "runs" / "notes.txt").write_text("mine")
        (output / "runs" / ".hidden").mkdir()
        (output / "runs" / "link").symlink_to(output)
        Path(os.fsdecode(os.fsencode(output) + b"/runs/\xff")).mkdir()
        Path(os.fsdecode(os.fsencode(write_run(output, 1)) + b"/\xff")).mkdir()

        with History.open(output) as history:
            assert history.count() == (1, 1)

    def test_rebuild_reads_everything_anew(self, output: Path) -> None:
        folder = write_run(output, 1)
        with History.open(output) as history:
            changed = benchmark_run(1, status=Status.REGRESSION, cause=Cause.ARTIFACT_MISSING)
            (folder / "specify" / "run.json").write_text(changed.model_dump_json())
            assert [row.status for row in history.latest()] == ["pass"]
            assert history.rebuild() == 1
            assert [row.status for row in history.latest()] == ["regression"]


class TestBadIndex:
    @pytest.mark.parametrize(
        "content",
        [b"", b"no database at all\n" * 100, b"SQLite format 3\0" + b"\xff" * 4000],
        ids=["empty", "text", "a broken header"],
    )
    def test_a_file_that_is_no_database_is_put_aside(self, output: Path, said: Said, content: bytes) -> None:
        write_run(output, 1)
        (output / INDEX).write_bytes(content)

        with History.open(output, said) as history:
            assert history.count() == (1, 1)

        (aside,) = output.glob(f"{INDEX}.aside-*")
        assert aside.read_bytes() == content
        assert "was moved to" in said[0]

    def test_a_foreign_database_is_put_aside_whole(self, output: Path, said: Said) -> None:
        with sqlite3.connect(output / INDEX) as connection:
            connection.execute("CREATE TABLE runs (mine)")
            connection.execute("INSERT INTO runs VALUES (42)")
        connection.close()

        with History.open(output, said):
            pass

        (aside,) = output.glob(f"{INDEX}.aside-*")
        connection = sqlite3.connect(aside)
        assert connection.execute("SELECT * FROM runs").fetchall() == [(42,)]
        connection.close()

    @pytest.mark.parametrize("version", [0, VERSION + 1])
    def test_another_version_is_put_aside(self, output: Path, said: Said, version: int) -> None:
        write_run(output, 1)
        with History.open(output, said):
            pass
        connection = sqlite3.connect(output / INDEX)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.close()

        with History.open(output, said) as history:
            assert history.count() == (1, 1)

        assert f"version {version}" in said[0]

    def test_one_that_is_damaged_in_the_middle_is_put_aside_when_it_shows(self, output: Path, said: Said) -> None:
        for number in range(200):
            write_run(output, number)
        with History.open(output, said):
            pass
        data = bytearray((output / INDEX).read_bytes())
        data[8192:] = b"\xa5" * (len(data) - 8192)
        (output / INDEX).write_bytes(data)

        with History.open(output, said) as history:
            assert history.count() == (200, 200)

        assert any("was moved to" in line for line in said)

    @pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
    def test_something_else_in_its_place_is_put_aside(self, output: Path, said: Said, kind: str) -> None:
        write_run(output, 1)
        {"folder": Path.mkdir, "link": lambda path: path.symlink_to("/dev/null"), "pipe": os.mkfifo}[kind](
            output / INDEX
        )

        with History.open(output, said) as history:
            assert history.count() == (1, 1)

    def test_a_session_survives_every_failure_of_the_index(self, output: Path, said: Said) -> None:
        """Told, marked, and mended by the next one."""
        index_run(output / "nowhere", write_run(output, 1), said)
        assert "could not be added to the index" in said[0]

        (output / STALE).touch()
        index_run(output, write_run(output, 2), said)
        assert len(indexed(output)) == 2
        assert not (output / STALE).exists()

    def test_a_root_that_cannot_be_written_to(self, output: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
        write_run(output, 1)
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # whoever tests may be root

        with History.open(output, said) as history:
            assert history.count() == (1, 1)

        assert not (output / INDEX).exists()
        assert "in memory" in said[0]

    def test_no_root_is_no_history(self, tmp_path: Path) -> None:
        with pytest.raises(RunNotFoundError, match="no run is recorded here"):
            History.open(tmp_path / "nowhere")


ADD = """
import sys
from pathlib import Path
from pytest_specbench.store.runs.history import index_run
output = Path(sys.argv[1])
print("ready", flush=True)
for name in sys.argv[2:]:
    index_run(output, output / "runs" / name)
"""


class TestParallel:
    def test_processes_that_add_at_once_lose_nothing(self, output: Path) -> None:
        """The index is made by whoever is first."""
        names = [write_run(output, number).name for number in range(60)]
        added = [
            subprocess.Popen([sys.executable, "-c", ADD, str(output), *names[part::4]], stderr=subprocess.PIPE)
            for part in range(4)
        ]
        errors = [process.communicate(timeout=120)[1] for process in added]

        assert errors == [b""] * 4
        assert indexed(output) == sorted(names)
        assert list(output.glob(f"{INDEX}.aside-*")) == []

    def test_a_bad_index_is_put_aside_once(self, output: Path) -> None:
        names = [write_run(output, number).name for number in range(8)]
        (output / INDEX).write_text("garbage")
        added = [
            subprocess.Popen([sys.executable, "-c", ADD, str(output), *names[part::4]], stderr=subprocess.PIPE)
            for part in range(4)
        ]
        for process in added:
            process.communicate(timeout=120)

        assert len(list(output.glob(f"{INDEX}.aside-*"))) == 1
        with History.open(output) as history:
            assert history.count() == (8, 8)

    @pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.1])
    def test_killed_while_it_writes(self, output: Path, delay: float) -> None:
        names = [write_run(output, number).name for number in range(100)]
        with subprocess.Popen(
            [sys.executable, "-c", ADD, str(output), *names], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)  # when it is killed is what the test varies
            process.send_signal(signal.SIGKILL)

        with History.open(output) as history:
            assert history.count() == (100, 100)
            assert history.sync() == (0, 0)
        assert list(output.glob(f"{INDEX}.aside-*")) == []

    def test_a_writer_waits_for_another_and_gives_up_in_the_end(
        self, output: Path, said: Said, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = write_run(output, 1)
        holder = open_index(output)
        holder.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("pytest_specbench.store.runs.index.BUSY_SEC", 0.05)

        index_run(output, folder, said)
        with pytest.raises(HistoryError, match="the index of runs: ") as caught:
            History.open(output, said)
        assert isinstance(caught.value.__context__, sqlite3.OperationalError)
        assert caught.value.__context__.sqlite_errorcode == sqlite3.SQLITE_BUSY
        holder.execute("ROLLBACK")
        holder.close()

        assert "could not be added to the index" in said[0]
        assert (output / STALE).exists()


class TestReading:
    def test_the_latest_of_each_scenario_in_any_dataset(self, output: Path) -> None:
        write_run(output, 1, benchmark_run(1, "specify"), benchmark_run(1, "plan", dataset_version="other==2"))
        write_run(output, 2, benchmark_run(2, "specify", dataset_version="spec-kit==2"))
        write_run(output, 3, benchmark_run(3, "tasks", dataset_version="spec-kit-more==1"))

        def latest(dataset: str | None) -> list[tuple[str, str | None]]:
            with History.open(output) as history:
                return [(row.scenario_id, (row.run_id or "")[:8]) for row in history.latest(dataset)]

        assert latest(None) == [("plan", "00000001"), ("specify", "00000002"), ("tasks", "00000003")]
        assert latest("spec-kit") == [("specify", "00000002")]
        assert latest("spec-kit==1") == latest("spec-kit@1") == [("specify", "00000001")]
        assert latest("nobody") == []

    def test_a_record_that_cannot_be_read_is_the_latest_all_the_same(self, output: Path) -> None:
        """The run before it must not pass for the newest."""
        write_run(output, 1)
        (write_run(output, 2) / "specify" / "run.json").write_text("{")

        with History.open(output) as history:
            (row,) = history.latest()
            assert "not a valid record" in (row.problem or "")
            assert history.latest("spec-kit")[0].problem

    def test_a_record_in_the_wrong_place_is_a_problem(self, output: Path) -> None:
        folder = write_run(output, 1)
        (folder / "specify").rename(folder / "plan")

        with History.open(output) as history:
            assert "calls itself the record of 'specify'" in (history.latest()[0].problem or "")

    def test_runs_are_those_of_the_same_environment_up_to_the_one_asked_for(self, output: Path) -> None:
        foreign = INSTRUMENT.model_copy(update={"host": {"class": "h2"}})
        for number in (1, 2, 4):
            write_run(output, number)
        write_run(output, 3, benchmark_run(3, fingerprint=foreign))
        write_run(output, 5, benchmark_run(5, status=Status.BLOCKED, cause=Cause.ENGINE_MISSING))

        with History.open(output) as history:
            every = history.runs("specify")
            like = history.runs("specify", like=every[3])
            newest = history.runs("specify", limit=2, blocked=False)

        assert [run.run_id.int >> 96 for run in every] == [1, 2, 3, 4, 5]
        assert [run.run_id.int >> 96 for run in like] == [1, 2, 4]
        assert [run.run_id.int >> 96 for run in newest] == [3, 4]

    def test_attempts_that_did_not_pass_are_told_apart_from_runs(self, output: Path) -> None:
        for number in (1, 2, 3):
            write_run(output, number, *rerun(number, Status.REGRESSION, Cause.ARTIFACT_MISSING))
        write_run(output, 4, *rerun(4, Status.BLOCKED, Cause.INTERRUPTED))
        write_run(output, 5, *rerun(5, Status.PASS, Cause.VERIFIED))

        with History.open(output) as history:
            last = history.runs("specify")
            every = history.runs("specify", like=last[2], attempts=True)
            newest = history.runs("specify", limit=3, blocked=False, attempts=True)

        assert [run.run_id.int >> 96 for run in last] == [1, 2, 3, 4, 5]
        assert [(run.run_id.int >> 96, run.status.value) for run in every] == [
            (1, "regression"), (1, "pass"), (2, "regression"), (2, "pass"), (3, "regression"), (3, "pass"),
        ]  # fmt: skip
        assert [run.run_id.int >> 96 for run in newest] == [3, 3, 4, 5]
        assert len(streak(last[2], every, Wanted()).runs) == 1
        assert len(streak(last[4], newest, Wanted()).runs) == 3

    def test_an_attempt_belongs_to_its_run_although_the_clock_was_set_back(self, output: Path) -> None:
        first, again = rerun(3, Status.REGRESSION, Cause.ARTIFACT_MISSING)
        back = again.model_copy(update={"executed_at": first.executed_at - timedelta(minutes=1)})
        write_run(output, 3, first, back)

        with History.open(output) as history:
            found = history.runs("specify", like=back, attempts=True)

        assert {run.status for run in found} == {Status.REGRESSION, Status.PASS}

    @pytest.mark.parametrize("harm", ["altered", "removed", "corrupt"])
    def test_a_record_that_is_not_what_it_was_ends_the_streak(self, output: Path, harm: str) -> None:
        folders = [write_run(output, number) for number in (1, 2, 3)]
        record = folders[1] / "specify" / "run.json"
        with History.open(output) as history:
            if harm == "removed":
                record.unlink()
            else:
                record.write_text("{" if harm == "corrupt" else record.read_text().replace("guild", "other"))
            runs = history.runs("specify")

        assert [run.run_id for run in runs] == [run_id(3)]
        assert len(streak(runs[-1], runs, Wanted()).runs) == 1

    def test_find(self, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder, newest = write_run(output, 1), write_run(output, 2)
        (output / "latest").symlink_to("runs/" + folder.name)
        monkeypatch.chdir(tmp_path)

        with History.open(output) as history:
            for reference in (
                str(run_id(1)), str(run_id(1)).upper(), "00000001", folder.name, str(folder), "latest",
                str(folder.relative_to(tmp_path)),
            ):  # fmt: skip
                assert history.find(reference).resolve() == folder.resolve(), reference
            (output / "latest").unlink()
            assert history.find("latest") == newest

    @pytest.mark.parametrize("reference", ["0000000", "ffffffff", "", ".", "..", "/", "a/b", "x\0y", "%", "z" * 5000])
    def test_what_is_no_run_is_told(self, output: Path, reference: str) -> None:
        write_run(output, 1)
        with History.open(output) as history, pytest.raises(RunNotFoundError, match="no run is"):
            history.find(reference)

    def test_a_prefix_of_two_runs_is_told(self, output: Path) -> None:
        write_run(output, 1)
        other = write_run(output, 2)
        record = other / "specify" / "run.json"
        record.write_text(record.read_text().replace(str(run_id(2)), str(run_id(1))[:-1] + "9"))

        with History.open(output) as history, pytest.raises(RunNotFoundError, match="several runs"):
            history.find("00000001")


FAILED: dict[str, Any] = {"status": Status.REGRESSION, "cause": Cause.ARTIFACT_MISSING}
OTHER = {name: INSTRUMENT.model_copy(update={name: {"class": "h2"}}) for name in ("subject", "host")}
KINDS: dict[str, Callable[[int], Sequence[BenchmarkRun]]] = {
    "P": lambda number: [benchmark_run(number)],
    "F": lambda number: [benchmark_run(number, **FAILED)],
    "B": lambda number: [benchmark_run(number, status=Status.BLOCKED, cause=Cause.ENGINE_MISSING)],
    "U": lambda number: [benchmark_run(number, clean=False)],
    "A": lambda number: [benchmark_run(number, cause=Cause.ACKNOWLEDGED)],
    "S": lambda number: [benchmark_run(number, fingerprint=OTHER["subject"])],
    "H": lambda number: [benchmark_run(number, fingerprint=OTHER["host"], **FAILED)],
    "R": lambda number: rerun(number, **FAILED),
    "X": lambda number: [benchmark_run(number)],
}
"""Runs that passed, failed, were blocked, unclean or acknowledged, had another subject, failed on another host, passed
by a rerun, and one whose record is broken."""


def rerun(number: int, status: Status, cause: Cause) -> list[BenchmarkRun]:
    """A run of two attempts, of which the second passed."""
    first = benchmark_run(number, status=status, cause=cause)
    at = first.executed_at + timedelta(minutes=5)
    return [first, benchmark_run(number, artifacts_path="specify/rerun-01", executed_at=at)]


class TestRetention:
    def test_count_and_age_and_both(self, output: Path) -> None:
        old = [write_run(output, number) for number in (1, 2, 3)]
        age = (time.time() - run_folder.started_at(old[1]) / 1e6) / 86_400 - 1 / 48  # between the first and the second

        def going(keep: Keep) -> list[int]:
            with History.open(output) as history:
                found = candidates(history, keep, (), lambda _: False)
            return [int(candidate.name[-8:], 16) for candidate in found if not candidate.kept]

        assert going(Keep(runs=1)) == [2, 1]
        assert going(Keep(runs=5)) == []
        assert going(Keep(days=age)) == [2, 1]
        assert going(Keep(runs=2, days=age)) == [1]

    def test_what_must_stay_stays(self, output: Path, tmp_path: Path) -> None:
        approved, acknowledged, latest, alive, going = [write_run(output, number) for number in range(1, 6)]
        unfinished = write_run(output, 6, report=False)
        (output / "latest").symlink_to("runs/" + latest.name)
        baselines = tmp_path / "baselines"
        (baselines / "specify").mkdir(parents=True)
        (baselines / "audit").mkdir()
        (baselines / "specify" / "specify-1.json.pending").write_text(json.dumps({"run_ids": [str(run_id(1))]}))
        (baselines / "audit" / "entry.json").write_text(json.dumps({"run_id": str(run_id(2))}))

        with History.open(output) as history:
            found = candidates(history, Keep(days=0.001), protected_runs(baselines), lambda one: one == str(run_id(4)))
            assert {candidate.name: candidate.kept for candidate in found} == {
                approved.name: "a baseline or an acknowledgement rests on it",
                acknowledged.name: "a baseline or an acknowledgement rests on it",
                latest.name: "it is the latest",
                alive.name: "it may still be going on",
                unfinished.name: "it may still be going on",
                going.name: "",
            }
            assert prune(history, [going.name]) == []
            assert not going.exists()
            assert history.count() == (5, 5)
        assert list(output.glob(".removing-*")) == []

    @pytest.mark.parametrize(
        ("kinds", "kept", "stay"),
        [
            ("P P P F P", {1, 2, 3, 5}, {4}),
            ("P P F F P", {1, 2, 5}, {4}),
            ("P P U P", {1, 2, 4}, {3}),
            ("P P X P", {1, 2, 4}, {3}),
            ("P P S P", {1, 2, 4}, {3}),
            ("P P R P", {1, 2, 4}, {3}),
            ("P A P", {1, 3}, {2}),
            ("P F A P", {1, 4}, {2}),
            ("P P F", {1, 2}, {3}),
            ("P P B P", {1, 2, 4}, set()),
            ("P P P P", {1, 4}, set()),
            ("P H P", {1, 3}, set()),
            ("P F F P", {1, 3, 4}, set()),
            ("P F S", {1, 3}, set()),
            ("F P P", {2, 3}, set()),
            ("F F F P", {4}, set()),
        ],
    )
    def test_what_ended_a_streak_stays_between_runs_that_stay(
        self, output: Path, kinds: str, kept: set[int], stay: set[int]
    ) -> None:
        """Else the runs around it would look consecutive."""
        for number, kind in enumerate(kinds.split(), 1):
            folder = write_run(output, number, *KINDS[kind](number))
            if kind == "X":
                (folder / "specify" / "run.json").write_text("{")
        going = {run_id(number).hex[:8] for number in range(1, len(kinds.split()) + 1)} - {
            run_id(number).hex[:8] for number in kept
        }

        with History.open(output) as history:
            names = {name for name, *_ in history.folders() if name[-8:] in going}
            found = needed(history.attempts(), names)

        assert {int(name[-8:], 16) for name in found} == stay

    def test_what_stays_for_one_scenario_may_need_another_to_stay(self, output: Path) -> None:
        failed = {"status": Status.REGRESSION, "cause": Cause.ARTIFACT_MISSING}
        write_run(output, 1, benchmark_run(1), benchmark_run(1, "plan"))
        write_run(output, 2, benchmark_run(2, "plan", **failed))
        write_run(output, 3, benchmark_run(3, **failed), benchmark_run(3, "plan"))
        write_run(output, 4, benchmark_run(4, "tasks"))

        with History.open(output) as history:
            found = candidates(history, Keep(runs=1), {str(run_id(1))}, lambda _: False)
            protected = {int(one.name[-8:], 16): one.kept for one in found}

        assert "consecutive" in protected[3]
        assert "consecutive" in protected[2]

    def test_a_run_whose_record_is_broken_is_known_by_its_folder(self, output: Path) -> None:
        folder = write_run(output, 1, report=False)
        (folder / "specify" / "run.json").write_text("{")
        os.utime(folder, (0, 0))
        os.utime(folder / "specify", (0, 0))

        with History.open(output) as history:
            (kept,) = candidates(history, Keep(days=0.001), {str(run_id(1))}, lambda _: False)
            (gone,) = candidates(history, Keep(days=0.001), {str(run_id(2))}, lambda _: False)

        assert (kept.kept, gone.kept) == ("a baseline or an acknowledgement rests on it", "")

    @pytest.mark.parametrize("harm", ["not JSON", "a folder", "a link to a file", "a link to a folder", "no folder"])
    def test_baselines_that_cannot_be_read_keep_everything(self, tmp_path: Path, harm: str) -> None:
        baselines = tmp_path / "baselines"
        if harm == "no folder":
            baselines.write_text("")
        else:
            (baselines / "specify").mkdir(parents=True)
            record = baselines / "specify" / "specify-1.json"
            if harm == "not JSON":
                record.write_text("{")
            elif harm == "a folder":
                record.with_name("x.json").symlink_to("nowhere")
            elif harm == "a link to a file":
                record.symlink_to(__file__)
            else:
                (baselines / "plan").symlink_to("specify")

        with pytest.raises(BlockedError, match="no run was removed"):
            protected_runs(baselines)

    def test_what_a_killed_removal_left_goes_with_the_next(self, output: Path) -> None:
        write_run(output, 1)
        left = output / ".removing-killed" / "20261101T000000Z-00000009"
        left.mkdir(parents=True)

        with History.open(output) as history:
            prune(history, [])

        assert not left.parent.exists()

    def test_what_a_killed_import_left_goes_after_a_day(self, output: Path) -> None:
        write_run(output, 1)
        old, young = output / ".import-old", output / ".import-young"
        for left in (old, young):
            (left / "0").mkdir(parents=True)
        os.utime(old / "0", (0, 0))
        os.utime(old, (0, 0))

        with History.open(output) as history:
            prune(history, [])

        assert (old.exists(), young.exists()) == (False, True)


class TestRealRuns:
    def test_every_session_adds_itself(self, either: Project) -> None:
        either.scenario("good")
        either.scenario("other")

        for _ in range(2):
            assert either.run().code == 0
        names = indexed(either.path / ".terminalbench")

        assert names == sorted(path.name for path in (either.path / ".terminalbench" / "runs").iterdir())
        with History.open(either.path / ".terminalbench") as history:
            assert history.count() == (4, 2)
            assert {row.owner_rotation for row in history.latest()} == {"maintainers"}

    def test_two_invocations_at_once(self, project: Project) -> None:
        project.scenario("good")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest"]
        both = [
            subprocess.Popen(command, cwd=project.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        results = [(*process.communicate(timeout=120), process.returncode) for process in both]

        assert [(code, err) for _, err, code in results] == [(0, ""), (0, "")]
        assert len(indexed(project.path / ".terminalbench")) == 2

    def test_an_index_that_cannot_be_written_costs_neither_verdict_nor_report(self, project: Project) -> None:
        project.scenario("good")
        project.run()
        holder = open_index(project.path / ".terminalbench")
        holder.execute("BEGIN IMMEDIATE")
        project.file("conftest.py", "import pytest_specbench.store.runs.index as index\nindex.BUSY_SEC = 0.05\n")

        ran = project.process()
        holder.execute("ROLLBACK")
        holder.close()

        assert ran.code == 0
        assert ran.verdict("good")[0] == "provisional"
        assert "could not be added to the index" in ran.err
        assert "specbench index" in ran.err
        mended = project.specbench("index")
        assert mended.out.startswith("2 benchmark runs in 2 run folders")
        assert len(indexed(ran.root)) == 2
