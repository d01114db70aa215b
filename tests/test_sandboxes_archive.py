"""What goes into a sandbox is the same every time; what comes out of one is read without trust."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from pytest_specbench.core.errors import InfrastructureError, ScenarioError
from pytest_specbench.sandboxes.archive import Budget, Entry, pack, pack_path, read_regular, reown


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as source:
        return {member.name: member for member in source}


def test_the_same_files_give_the_same_bytes() -> None:
    one = pack({"b": b"2", "a/c": Entry(b"1", 0o755)})
    assert one == pack({"a/c": Entry(b"1", 0o755), "b": b"2"})
    assert [(info.uid, info.gid, info.mtime) for info in members(one).values()] == [(0, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../x", "", "a//b"])
def test_a_path_that_is_not_plain_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be relative"):
        pack({name: b""})


def test_a_folder_is_packed_by_content_and_not_by_who_checked_it_out(tmp_path: Path) -> None:
    """Modes become 0755 or 0644, times 0; empty folders and hidden files are there."""
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").write_text("h")
    (tmp_path / "run.sh").write_text("x")
    (tmp_path / "run.sh").chmod(0o700)
    first = pack_path(tmp_path)
    os.utime(tmp_path / "run.sh", (1, 1))
    (tmp_path / "run.sh").chmod(0o777)
    assert pack_path(tmp_path) == first
    found = members(first)
    assert {name: oct(info.mode) for name, info in found.items()} == {
        ".hidden": "0o644",
        "empty": "0o755",
        "run.sh": "0o755",
    }


def test_a_single_file_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("1")
    assert list(members(pack_path(tmp_path / "x.py"))) == ["x.py"]


def test_links_and_special_files_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(ScenarioError, match=r"link: is a symbolic link"):
        pack_path(tmp_path)
    (tmp_path / "link").unlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ScenarioError, match=r"pipe: is a special file"):
        pack_path(tmp_path)


def test_reown_changes_the_owner_and_nothing_else() -> None:
    changed = members(reown(pack({"a": Entry(b"1", 0o755)}), (1000, 1001)))["a"]
    assert (changed.uid, changed.gid, changed.mode) == (1000, 1001, 0o755)


def hostile() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in [
            ("/abs", tarfile.REGTYPE),
            ("../climb", tarfile.REGTYPE),
            ("x/../../climb", tarfile.REGTYPE),
            ("link", tarfile.SYMTYPE),
            ("device", tarfile.CHRTYPE),
            ("pipe", tarfile.FIFOTYPE),
            ("folder", tarfile.DIRTYPE),
            ("good", tarfile.REGTYPE),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
            info.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"data"))
    return buffer.getvalue()


@pytest.mark.parametrize("size", [1, 511, 100_000])
def test_only_regular_files_with_plain_names_are_read(size: int) -> None:
    """In chunks of whatever size."""
    data = hostile()
    chunks = iter([data[at : at + size] for at in range(0, len(data), size)])
    assert read_regular(chunks, str, Budget(100)).files == {"good": b"data"}


def test_reading_stops_at_the_budget() -> None:
    data = pack({"a": b"x" * 1000, "b": b"y" * 1_000_000})
    taken: list[int] = []

    def chunks():
        for at in range(0, len(data), 512):
            taken.append(at)
            yield data[at : at + 512]

    with pytest.raises(InfrastructureError, match="more than 1500 bytes"):
        read_regular(chunks(), str, Budget(1500))
    assert len(taken) < 50


def test_a_broken_archive_is_the_infrastructures_fault() -> None:
    with pytest.raises(InfrastructureError, match="cannot be read"):
        read_regular(iter([b"not a tar archive" * 100]), str, Budget(10))
