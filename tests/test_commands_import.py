"""`specbench import`, `index` and `gc --runs`: runs from elsewhere come in whole or not at all, and old ones go."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import Command, benchmark_run, command_line, run_id, write_run
from scenario_files import Project

from pytest_specbench.core.status import Cause, Status
from pytest_specbench.importing import content_of
from pytest_specbench.store.baselines.writing import approving
from pytest_specbench.store.runs.history import History
from pytest_specbench.store.runs.unpack import Limits, UnpackError, unpack


@pytest.fixture
def specbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command_line(tmp_path, monkeypatch, capsys)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An artifact root with two runs, as another machine has it."""
    root = tmp_path / "elsewhere"
    write_run(root, 1)
    newest = write_run(root, 2, benchmark_run(2), benchmark_run(2, "plan"))
    (root / "latest").symlink_to(f"runs/{newest.name}")
    (root / ".gitignore").write_text("*\n")
    with History.open(root):
        pass
    return root


def tarred(folder: Path, path: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder, ".")
    return path


def zipped(folder: Path, path: Path) -> Path:
    """As CI services do: links become copies, and folders have no entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for root, _, names in os.walk(folder, followlinks=False):
            for name in names:
                archive.write(Path(root, name), Path(root, name).relative_to(folder))
    return path


def here(tmp_path: Path) -> list[str]:
    runs = tmp_path / ".terminalbench" / "runs"
    return sorted(path.name for path in runs.iterdir()) if runs.is_dir() else []


FORMS: dict[str, Callable[[Path, Path], Path]] = {
    "root": lambda root, _: root,
    "runs": lambda root, _: root / "runs",
    "tar.gz": lambda root, at: tarred(root, at / "a.tar.gz"),
    "tar": lambda root, at: tarred(root, at / "a.tar", "w"),
    "tar.xz": lambda root, at: tarred(root, at / "a.txz", "w:xz"),
    "tar.bz2": lambda root, at: tarred(root, at / "a.tbz", "w:bz2"),
    "zip": lambda root, at: zipped(root, at / "a.zip"),
    "tar of the folder above": lambda root, at: tarred(root.parent, at.parent / "above.tar"),
}


class TestImport:
    @pytest.mark.parametrize("form", FORMS)
    def test_a_whole_artifact_root_in_every_form(
        self, specbench: Command, elsewhere: Path, tmp_path: Path, form: str
    ) -> None:
        at = tmp_path / "archives"
        at.mkdir()
        source = FORMS[form](elsewhere, at) if form != "tar of the folder above" else tarred(elsewhere, at / "x", "w")

        answer = specbench("import", str(source))

        assert (answer.code, answer.err) == (0, "")
        assert here(tmp_path) == sorted(path.name for path in (elsewhere / "runs").iterdir())
        for name in here(tmp_path):
            assert content_of(tmp_path / ".terminalbench" / "runs" / name) == content_of(elsewhere / "runs" / name)
        assert [row["run_id"][:8] for row in specbench("report", "--format", "json").report["scenarios"]] == [
            "00000002", "00000002",
        ]  # fmt: skip
        assert not (tmp_path / ".terminalbench" / "latest").exists()
        assert list((tmp_path / ".terminalbench").glob(".import-*")) == []
        assert (tmp_path / ".terminalbench" / ".gitignore").is_file()

    @pytest.mark.parametrize("form", ["folder", "tar", "zip"])
    def test_one_run_whose_folder_has_lost_its_name(
        self, specbench: Command, elsewhere: Path, tmp_path: Path, form: str
    ) -> None:
        (folder,) = [path for path in (elsewhere / "runs").iterdir() if path.name.endswith("00000001")]
        name = folder.name
        folder = folder.rename(tmp_path / "artifact")
        source = {
            "folder": lambda: folder,
            "tar": lambda: tarred(folder, tmp_path / "a.tar", "w"),
            "zip": lambda: zipped(folder, tmp_path / "a.zip"),
        }[form]()

        assert specbench("import", str(source)).code == 0
        assert here(tmp_path) == [name]

    def test_the_links_that_runs_make_are_there_again(
        self, specbench: Command, elsewhere: Path, tmp_path: Path
    ) -> None:
        specbench("import", str(tarred(elsewhere, tmp_path / "a.tar", "w")))
        link = tmp_path / ".terminalbench" / "runs" / here(tmp_path)[0] / "specify" / "trial-01" / "run-metadata.json"
        assert str(link.readlink()) == "run_metadata.json"

    def test_a_second_time_nothing_happens(self, specbench: Command, elsewhere: Path, tmp_path: Path) -> None:
        specbench("import", str(elsewhere))
        before = {name: (tmp_path / ".terminalbench/runs" / name).stat().st_ino for name in here(tmp_path)}

        answer = specbench("import", str(elsewhere), str(tarred(elsewhere, tmp_path / "a.tgz")))

        assert answer.code == 0
        assert answer.out.count("is there already") == 4
        assert {name: (tmp_path / ".terminalbench/runs" / name).stat().st_ino for name in here(tmp_path)} == before

    def test_a_run_of_the_same_id_and_other_content_is_refused(
        self, specbench: Command, elsewhere: Path, tmp_path: Path
    ) -> None:
        specbench("import", str(elsewhere))
        before = content_of(tmp_path / ".terminalbench" / "runs")
        shutil.rmtree(elsewhere)
        write_run(elsewhere, 1, benchmark_run(1, status=Status.REGRESSION, cause=Cause.ARTIFACT_MISSING))
        write_run(elsewhere, 3)

        answer = specbench("import", str(elsewhere))

        assert answer.code == 3
        assert f"run {run_id(1)} is there already, with other content" in answer.err
        assert content_of(tmp_path / ".terminalbench" / "runs") == before

    def test_two_sources_that_disagree(self, specbench: Command, elsewhere: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        write_run(other, 1, benchmark_run(1, "plan"))

        assert specbench("import", str(elsewhere), str(other)).code == 3
        assert here(tmp_path) == []

    def test_everything_that_is_wrong_is_told_and_nothing_comes_in(
        self, specbench: Command, elsewhere: Path, tmp_path: Path
    ) -> None:
        first, second = sorted((elsewhere / "runs").iterdir())
        (first / "specify/trial-01/agent.cast").write_text("altered")
        (second / "plan/run.json").write_text("{")
        (second / "specify/trial-01/run_metadata.json").unlink()
        whole = tmp_path / "whole"
        write_run(whole, 5)

        answer = specbench("import", str(whole), str(elsewhere), str(tmp_path / "nowhere"))

        assert answer.code == 3
        for what in (
            f"runs/{first.name}/specify/trial-01/agent.cast: the artifact is not what the record names",
            f"runs/{second.name}/plan/run.json: not a valid record",
            f"runs/{second.name}/specify/trial-01/run_metadata.json: the artifact is missing",
            "nowhere: there is no such path",
            "nothing was imported",
        ):
            assert what in answer.err
        assert ".import-" not in answer.err
        assert here(tmp_path) == []

    @pytest.mark.parametrize(
        ("harm", "what"),
        [
            (lambda folder: (folder / "report.json").unlink(), "report.json: it is missing"),
            (lambda folder: (folder / "report.json").write_text("{}"), "not a valid report"),
            (lambda folder: rewrite(folder, "run_id", str(run_id(9))), "records are of several runs"),
            (lambda folder: rewrite(folder, "run_folder", "../../../etc"), "does not fit"),
            (lambda folder: rewrite(folder, "run_folder", "runs/20261101T130000Z-ffffffff"), "does not fit"),
            (lambda folder: shutil.rmtree(folder / "specify"), "run.json: it is missing"),
        ],
        ids=["no report", "another form", "another run", "a name outside", "another's name", "no record"],
    )
    def test_a_run_that_contradicts_itself(
        self, specbench: Command, tmp_path: Path, harm: Callable[[Path], object], what: str
    ) -> None:
        folder = write_run(tmp_path / "elsewhere", 1)
        harm(folder)

        answer = specbench("import", str(folder))

        assert answer.code == 3
        assert what in answer.err
        assert here(tmp_path) == []

    @pytest.mark.parametrize("kind", ["empty folder", "text", "empty file", "pipe", "empty zip"])
    def test_what_holds_no_run(self, specbench: Command, tmp_path: Path, kind: str) -> None:
        source = tmp_path / "source"
        if kind == "empty folder":
            source.mkdir()
        elif kind == "pipe":
            os.mkfifo(source)
        elif kind == "empty zip":
            zipfile.ZipFile(source, "w").close()
        else:
            source.write_text("no archive at all" if kind == "text" else "")

        answer = specbench("import", str(source))

        assert answer.code == 3
        assert answer.err.startswith(f"specbench: {source}: ")

    def test_two_processes_at_once(self, elsewhere: Path, tmp_path: Path) -> None:
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        command = [sys.executable, "-m", "pytest_specbench", "import", str(elsewhere)]
        both = [
            subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        results = [(*process.communicate(timeout=120), process.returncode) for process in both]

        assert [(code, err) for _, err, code in results] == [(0, "")] * 3
        assert sum(out.count("imported run") for out, _, _ in results) == 2
        assert len(here(tmp_path)) == 2


def rewrite(folder: Path, key: str, value: object) -> None:
    content = json.loads((folder / "report.json").read_text())
    content[key] = value
    (folder / "report.json").write_text(json.dumps(content))


# -- hostile archives --------------------------------------------------------------------------------------------------


def tar_of(path: Path, *members: tuple[str, dict[str, Any]], mode: str = "w") -> Path:
    """A tar of members by name; `data` is a file's content, everything else an attribute."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, fields in members:
            member = tarfile.TarInfo(name)
            data = fields.pop("data", b"")
            for key, value in fields.items():
                setattr(member, key, value)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def zip_of(path: Path, *members: tuple[str, bytes, int]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, kind in members:
            member = zipfile.ZipInfo(name)
            member.external_attr = (kind | 0o644) << 16
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return path


LINK, HARD, DEVICE, PIPE = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE
HOSTILE: dict[str, Callable[[Path], Path]] = {
    "absolute": lambda at: tar_of(at, ("/tmp/evil", {"data": b"x"})),
    "climbing": lambda at: tar_of(at, ("a/../../evil", {"data": b"x"})),
    "a link out": lambda at: tar_of(at, ("a", {"type": LINK, "linkname": "/etc"})),
    "through a link": lambda at: tar_of(at, ("a", {"type": LINK, "linkname": ".."}), ("a/evil", {"data": b"x"})),
    "through a link that we make": lambda at: tar_of(
        at,
        ("t/run-metadata.json", {"type": LINK, "linkname": "run_metadata.json"}),
        ("t/run-metadata.json", {"data": b"x"}),
    ),
    "metadata that leads out": lambda at: tar_of(at, ("run-metadata.json", {"type": LINK, "linkname": "../evil"})),
    "a latest that leads out": lambda at: tar_of(at, ("latest", {"type": LINK, "linkname": "../../../evil"})),
    "a hard link": lambda at: tar_of(at, ("a", {"type": HARD, "linkname": "/etc/passwd"})),
    "a device": lambda at: tar_of(at, ("a", {"type": DEVICE, "devmajor": 1})),
    "a pipe": lambda at: tar_of(at, ("a", {"type": PIPE})),
    "a name twice": lambda at: tar_of(at, ("a", {"data": b"1"}), ("./a", {"data": b"2"})),
    "a file and a folder": lambda at: tar_of(at, ("a", {"data": b"1"}), ("a/b", {"data": b"2"})),
    "a backslash": lambda at: tar_of(at, ("..\\evil", {"data": b"x"})),
    "a drive": lambda at: tar_of(at, ("C:/evil", {"data": b"x"})),
    "no UTF-8": lambda at: tar_of(at, ("\udcff", {"data": b"x"})),
    "a name too long": lambda at: tar_of(at, ("n" * 300, {"data": b"x"})),
    "a huge header": lambda at: tar_of(at, ("a", {"pax_headers": {"comment": "x" * 100_000}})),
    "zip: absolute": lambda at: zip_of(at, ("/tmp/evil", b"x", stat.S_IFREG)),
    "zip: climbing": lambda at: zip_of(at, ("../evil", b"x", stat.S_IFREG)),
    "zip: a link": lambda at: zip_of(at, ("a", b"/etc/passwd", stat.S_IFLNK)),
    "zip: a device": lambda at: zip_of(at, ("a", b"", stat.S_IFCHR)),
    "zip: a name twice": lambda at: zip_of(at, ("a", b"1", stat.S_IFREG), ("./a", b"2", stat.S_IFREG)),
    "too many": lambda at: tar_of(at, *[(f"f{number}", {"data": b""}) for number in range(30)]),
    "zip: too many": lambda at: zip_of(at, *[(f"f{number}", b"", stat.S_IFREG) for number in range(30)]),
    "a bomb": lambda at: tar_of(at, ("a", {"data": b"\0" * 200_000}), mode="w:gz"),
    "zip: a bomb": lambda at: zip_of(at, ("a", b"\0" * 200_000, stat.S_IFREG)),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_hostile_archive_is_refused_and_writes_nothing_outside(tmp_path: Path, kind: str) -> None:
    archive = HOSTILE[kind](tmp_path / "archive")
    place = tmp_path / "a" / "b" / "c"
    place.mkdir(parents=True)

    with pytest.raises(UnpackError) as caught:
        unpack(archive, place, Limits(entries=20, size=100_000))

    assert caught.value.problems
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and place not in path.parents]
    assert outside == [archive]
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "link to a folder"])
def test_a_hostile_folder_is_refused(tmp_path: Path, kind: str) -> None:
    source, place = tmp_path / "source", tmp_path / "place"
    source.mkdir()
    place.mkdir()
    if kind == "pipe":
        os.mkfifo(source / "x")
    else:
        (source / "x").symlink_to("/etc" if kind == "link to a folder" else "/etc/passwd")

    with pytest.raises(UnpackError):
        unpack(source, place)
    assert list(place.iterdir()) == []


def test_a_truncated_archive_is_told(elsewhere: Path, tmp_path: Path) -> None:
    for archive in (tarred(elsewhere, tmp_path / "a.tgz"), zipped(elsewhere, tmp_path / "a.zip")):
        archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
        place = tmp_path / f"place-{archive.suffix}"
        place.mkdir()
        with pytest.raises(UnpackError, match="cannot be read"):
            unpack(archive, place)


def test_many_problems_are_counted(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar", *[(f"../f{number}", {"data": b""}) for number in range(50)])
    with pytest.raises(UnpackError) as caught:
        unpack(archive, tmp_path / "place")
    assert caught.value.problems[-1] == "... and 30 more"


# -- index and gc ------------------------------------------------------------------------------------------------------


class TestIndex:
    def test_it_counts_and_mends(self, specbench: Command, tmp_path: Path) -> None:
        write_run(tmp_path / ".terminalbench", 1)

        assert specbench("index").out.startswith("1 benchmark runs in 1 run folders")
        assert specbench("index", "--rebuild").out.startswith("1 benchmark runs in 1 run folders")

    def test_a_corrupt_one_is_told_on_stderr(self, specbench: Command, tmp_path: Path) -> None:
        write_run(tmp_path / ".terminalbench", 1)
        (tmp_path / ".terminalbench" / "index.sqlite").write_text("garbage" * 1000)

        answer = specbench("report", "--format", "json")

        assert answer.code == 0
        assert "was moved to index.sqlite.aside-" in answer.err
        assert len(answer.report["scenarios"]) == 1

    def test_nothing_recorded(self, specbench: Command) -> None:
        answer = specbench("index")
        assert answer.code == 3
        assert "no run is recorded here" in answer.err


class TestGc:
    @pytest.fixture(autouse=True)
    def _runs(self, tmp_path: Path) -> None:
        for number in (1, 2, 3, 4):
            write_run(tmp_path / ".terminalbench", number)

    def test_the_newest_are_kept(self, specbench: Command, tmp_path: Path) -> None:
        dry = specbench("gc", "--runs", "--keep", "3", "--dry-run")
        assert len(here(tmp_path)) == 4

        answer = specbench("gc", "--runs", "--keep", "3")

        assert (dry.code, answer.code) == (0, 0)
        assert dry.out.splitlines()[-1] == "1 run would be removed, 3 stay"
        assert answer.out.splitlines()[-1] == "1 run removed, 3 stay"
        assert [name[-1] for name in here(tmp_path)] == ["2", "3", "4"]
        assert specbench("report").code == 0

    def test_the_ini_file_says_how_many(self, specbench: Command, tmp_path: Path) -> None:
        (tmp_path / "pytest.ini").write_text("[pytest]\nspecbench_keep_runs = 1\n")

        assert specbench("gc", "--runs").code == 0
        assert [name[-1] for name in here(tmp_path)] == ["4"]

    def test_what_a_baseline_rests_on_is_kept_and_told(self, specbench: Command, tmp_path: Path) -> None:
        (tmp_path / "baselines" / "specify").mkdir(parents=True)
        (tmp_path / "baselines" / "specify" / "b.json").write_text(json.dumps({"run_ids": [str(run_id(1))]}))

        answer = specbench("gc", "--runs", "--keep", "1")

        assert [name[-1] for name in here(tmp_path)] == ["1", "4"]
        assert "a baseline or an acknowledgement rests on it" in answer.out

    def test_unreadable_baselines_keep_everything(self, specbench: Command, tmp_path: Path) -> None:
        (tmp_path / "baselines").mkdir()
        (tmp_path / "baselines" / "b.json").write_text("{")

        answer = specbench("gc", "--runs", "--keep", "1")

        assert answer.code == 2
        assert "no run was removed" in answer.err
        assert len(here(tmp_path)) == 4

    @pytest.mark.parametrize("named_by", ["--baselines", "environment SPECBENCH_BASELINES", "ini specbench_baselines"])
    def test_a_named_folder_of_baselines_that_is_not_there_keeps_everything(
        self, specbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named_by: str
    ) -> None:
        arguments = ["gc", "--runs", "--keep", "1"]
        if named_by == "--baselines":
            arguments += ["--baselines", "basline"]
        elif named_by.startswith("ini"):
            (tmp_path / "pytest.ini").write_text("[pytest]\nspecbench_baselines = basline\n")
        else:
            monkeypatch.setenv("SPECBENCH_BASELINES", "basline")

        answer = specbench(*arguments)

        assert answer.code == 2
        assert f"the folder of the baselines that {named_by} names is not there" in answer.err
        assert len(here(tmp_path)) == 4

    def test_a_run_that_failed_between_runs_that_stay_is_kept(self, specbench: Command, tmp_path: Path) -> None:
        root = tmp_path / ".terminalbench"
        write_run(root, 5, benchmark_run(5, status=Status.REGRESSION, cause=Cause.ARTIFACT_MISSING))
        write_run(root, 6)
        (tmp_path / "baselines").mkdir()
        (tmp_path / "baselines" / "b.json").write_text(json.dumps({"run_ids": [str(run_id(n)) for n in (2, 3, 4)]}))

        answer = specbench("gc", "--runs", "--keep", "1")

        assert [name[-1] for name in here(tmp_path)] == ["2", "3", "4", "5", "6"]
        assert "it ended a streak of passing runs" in answer.out
        (row,) = specbench("report", "--format", "json").report["scenarios"]
        assert row["passing_runs"] == 1

    def test_nothing_goes_while_somebody_approves(
        self, specbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pytest_specbench.store.baselines.writing.WAIT_SEC", 0.05)
        with approving(tmp_path / "baselines"):
            answer = specbench("gc", "--runs", "--keep", "1")

        assert answer.code != 0
        assert "is going on" in answer.err
        assert len(here(tmp_path)) == 4
        assert specbench("gc", "--runs", "--keep", "1").code == 0
        assert not (tmp_path / "baselines").exists()

    @pytest.mark.parametrize(
        "arguments", [["--runs"], ["--keep", "1"], ["--runs", "--keep", "0"], ["--runs", "--older-than", "x"]]
    )
    def test_what_is_unclear_removes_nothing(self, specbench: Command, tmp_path: Path, arguments: list[str]) -> None:
        answer = specbench("gc", *arguments)

        assert answer.code == 2
        assert answer.err
        assert len(here(tmp_path)) == 4


class TestRealRuns:
    def test_a_run_of_ci_is_reported_here(self, project: Project, tmp_path: Path) -> None:
        project.scenario("good")
        ran = project.run()
        archive = zipped(ran.folder, tmp_path / "artifact.zip")

        imported = project.specbench("import", "--output", "other", str(archive))
        shown = project.specbench("report", "--output", "other", "--format", "json")

        assert (imported.code, imported.err) == (0, "")
        assert json.loads(shown.out)["scenarios"][0]["run_id"] == ran.report["run_id"]
        assert project.specbench("import", str(archive)).out.endswith("is there already")
