"""The hash of what lies beside a scenario, and the archives that are made of its files."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from pytest_specbench.core.errors import ScenarioError
from pytest_specbench.core.tar import EPOCH, TarFile, make_tar
from pytest_specbench.scenarios.content import tree_hash
from pytest_specbench.scenarios.loader import LoadedScenario, load_scenario
from pytest_specbench.scenarios.tree import pack

SCENARIO = """\
scenario_id: all
display_name: All
command_path: /all
owner_rotation: team
registry_version: demo==1.0
instruction: Do it
solution: solve.sh
verification: {command: sh .verification/check.sh, files: tree}
"""
NAMED = ["solve.sh", "tree/a", "tree/b/c"]


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedScenario:
    for name in NAMED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n")
    (tmp_path / "all.scenario.yaml").write_text(SCENARIO)
    return load_scenario(tmp_path / "all.scenario.yaml")


@pytest.mark.parametrize("name", ["tree/a", "tree/b/c"])
def test_the_hash_covers_every_file(loaded: LoadedScenario, name: str) -> None:
    before = tree_hash(loaded, "tree"), tree_hash(loaded, "solve.sh")
    (loaded.folder / name).write_text("other\n")

    assert tree_hash(loaded, "tree") != before[0]
    assert tree_hash(loaded, "solve.sh") == before[1]


def test_what_is_not_named_has_none(loaded: LoadedScenario) -> None:
    assert tree_hash(loaded, None) == ""


def test_names_and_executable_bits_count_and_where_it_all_lies_does_not(loaded: LoadedScenario, tmp_path: Path) -> None:
    before = tree_hash(loaded, "tree")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in (loaded.path.name, *NAMED):
        (elsewhere / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(loaded.folder / name, elsewhere / name)
    (elsewhere / "tree" / "__pycache__").mkdir()
    (elsewhere / "tree" / "__pycache__" / "a.pyc").write_text("x")
    copy = load_scenario(elsewhere / "all.scenario.yaml")
    assert tree_hash(copy, "tree") == before

    (elsewhere / "tree" / "a").rename(elsewhere / "tree" / "d")
    assert tree_hash(copy, "tree") != before
    (elsewhere / "tree" / "d").rename(elsewhere / "tree" / "a")
    assert tree_hash(copy, "tree") == before
    (elsewhere / "tree" / "a").chmod(0o755)
    assert tree_hash(copy, "tree") != before


def test_content_cannot_move_between_files_unnoticed(loaded: LoadedScenario) -> None:
    tree = loaded.folder / "tree"
    (tree / "a").write_bytes(b"1")
    (tree / "b" / "c").write_bytes(b"23")
    before = tree_hash(loaded, "tree")
    (tree / "a").write_bytes(b"12")
    (tree / "b" / "c").write_bytes(b"3")

    assert tree_hash(loaded, "tree") != before


def test_a_file_that_is_gone_is_an_error(loaded: LoadedScenario) -> None:
    (loaded.folder / "solve.sh").unlink()

    with pytest.raises(ScenarioError, match=r"solve\.sh"):
        tree_hash(loaded, "solve.sh")


def test_an_archive_is_the_same_at_every_time_and_in_every_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "b").mkdir(parents=True)
    for name, order in (("one", ["a", "b/c"]), ("two", ["b/c", "a"])):
        for file in order:
            (tmp_path / name / file).write_text(file)
    (tmp_path / "two" / "b").chmod(0o700)
    os.utime(tmp_path / "two" / "a", (1, 1))

    assert pack(tmp_path, "one") == pack(tmp_path, "two")


def test_an_archive_holds_files_their_folders_and_executable_bits() -> None:
    long = "d" * 120 + "/" + "f" * 120 + "ü"
    archive = make_tar([TarFile("x/run.sh", b"run", executable=True), TarFile("a", b"a"), TarFile(long, b"")])

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = {member.name: member for member in tar.getmembers()}
        assert list(members) == ["a", "d" * 120, long, "x", "x/run.sh"]
        assert [oct(members[name].mode) for name in ("a", "x", "x/run.sh")] == ["0o644", "0o755", "0o755"]
        assert {(member.mtime, member.uid, member.uname) for member in members.values()} == {(EPOCH, 0, "")}
        content = tar.extractfile("x/run.sh")
        assert content is not None
        assert content.read() == b"run"


@pytest.mark.parametrize("path", ["/a", "../a", "a/../../b", "", "."])
def test_nothing_is_packed_that_would_climb_out(path: str) -> None:
    with pytest.raises(ValueError, match="cannot pack"):
        make_tar([TarFile(path, b"")])


def test_nothing_is_packed_twice() -> None:
    with pytest.raises(ValueError, match="once"):
        make_tar([TarFile("a/b", b""), TarFile("a//b", b"")])
