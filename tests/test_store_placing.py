"""A finished file gets its name where nothing has it yet, with and without hard links."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_specbench.store.placing import alone_with, place


@pytest.fixture(params=["hard links", errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS], autouse=True)
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that links, and some that refuse to, each in its way."""

    def refuse(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    if request.param != "hard links":
        monkeypatch.setattr(os, "link", refuse)


def made(folder: Path, name: str = "made", content: str = "new") -> Path:
    path = folder / name
    path.write_text(content)
    return path


def test_a_file_gets_its_name(tmp_path: Path) -> None:
    place(made(tmp_path), tmp_path / "there")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"there": "new"}


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_what_is_there_is_not_replaced(tmp_path: Path, kind: str) -> None:
    there = tmp_path / "there"
    makes = {"file": there.touch, "folder": there.mkdir, "dangling link": lambda: there.symlink_to("nowhere")}
    makes[kind]()
    before = there.lstat()

    with pytest.raises(FileExistsError):
        place(made(tmp_path), there)

    assert there.lstat().st_ino == before.st_ino
    assert (tmp_path / "made").read_text() == "new"


def test_of_many_at_once_one_gets_the_name(tmp_path: Path) -> None:
    def try_it(number: int) -> bool:
        try:
            place(made(tmp_path, f"made-{number}", str(number)), tmp_path / "there")
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        placed = list(pool.map(try_it, range(16)))

    assert placed.count(True) == 1
    assert (tmp_path / "there").read_text() == str(placed.index(True))


def test_another_fault_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        place(tmp_path / "nothing", tmp_path / "there")


def test_who_waits_in_vain_for_another_process_is_told(tmp_path: Path) -> None:
    with (
        alone_with(tmp_path / "there", 1.0),
        pytest.raises(TimeoutError, match=f"another process has held {tmp_path}/there"),
        alone_with(tmp_path / "there", 0.01),
    ):
        pytest.fail("two had it at once")
