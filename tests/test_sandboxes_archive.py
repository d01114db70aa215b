"""Archives on their way in get an owner; those that come out are read without trust."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest
from engine_support import tar

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.sandboxes.archive import Budget, read_regular, reown
from pytest_specbench.sandboxes.base import FetchTooLargeError


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as source:
        return {member.name: member for member in source}


def test_reown_changes_the_owner_and_nothing_else() -> None:
    changed = members(reown(tar({"a": b"1"}, executable=True), (1000, 1001)))["a"]
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
    data = tar({"a": b"x" * 1000, "b": b"y" * 1_000_000})
    taken: list[int] = []

    def chunks():
        for at in range(0, len(data), 512):
            taken.append(at)
            yield data[at : at + 512]

    with pytest.raises(FetchTooLargeError, match="more than 1500 bytes"):
        read_regular(chunks(), str, Budget(1500))
    assert len(taken) < 50


def test_a_broken_archive_is_the_infrastructures_fault() -> None:
    with pytest.raises(InfrastructureError, match="cannot be read"):
        read_regular(iter([b"not a tar archive" * 100]), str, Budget(10))


def test_a_size_that_is_only_promised_ends_the_reading_at_its_header() -> None:
    """Of a file that nobody wants, too; nothing behind the header is asked for."""
    header = tarfile.TarInfo("big.txt")
    header.size = 10**12

    def chunks() -> Iterator[bytes]:
        yield header.tobuf(tarfile.GNU_FORMAT)
        # A stream is read in blocks of 20 records.
        yield bytes(20 * 512)
        raise AssertionError("the file is read")

    with pytest.raises(FetchTooLargeError, match="look through"):
        read_regular(chunks(), lambda _: None, Budget(1000))
