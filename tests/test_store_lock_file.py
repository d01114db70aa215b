"""The lock file as a store: several processes write it, and nobody ever reads half of it."""

from __future__ import annotations

import json
import os
import pwd
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from pydantic import ValidationError

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.store.baselines.writing import approving
from pytest_specbench.store.lock import LOCK_NAME, read_lock, update_lock


def write(folder: Path, number: int) -> None:
    update_lock(folder, f"backend-{number % 2}", f"scenario-{number}", {"cpus": float(number), "user": None})


def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        list(pool.map(write, [tmp_path] * 24, range(24)))

    lock = read_lock(tmp_path)
    for number in range(24):
        assert lock.entry(f"backend-{number % 2}", f"scenario-{number}") == {"cpus": float(number), "user": None}
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_NAME]


@pytest.mark.parametrize("home", [True, False])
def test_a_user_without_a_name_locks_and_approves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: bool) -> None:
    """Containers run under user ids that no user database knows."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path)) if home else monkeypatch.delenv("HOME")

    write(tmp_path, 0)
    with approving(tmp_path / "baselines"):
        pass

    assert read_lock(tmp_path).found


def test_a_reader_never_sees_half_of_it(tmp_path: Path) -> None:
    write(tmp_path, 0)
    done, seen = threading.Event(), []

    def look() -> None:
        while not done.is_set():
            seen.append(read_lock(tmp_path).found)

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(40):
        write(tmp_path, number)
    done.set()
    reader.join()

    assert all(seen)


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    facts = {"text": 'ünï \u2028 "quoted"', "whole": 3, "part": 0.1, "yes": True, "none": None}

    update_lock(tmp_path, "local", "demo", facts)

    assert read_lock(tmp_path).entry("local", "demo") == facts
    assert read_lock(tmp_path).entry("docker", "demo") is None
    assert read_lock(tmp_path).entry("local", "other") is None


def test_it_is_sorted_so_that_a_review_sees_only_what_changed(tmp_path: Path) -> None:
    for backend, name in (("local", "b"), ("docker", "z"), ("local", "a")):
        update_lock(tmp_path, backend, name, {"cpus": 1.0})

    content = json.loads((tmp_path / LOCK_NAME).read_text())
    assert list(content["sandboxes"]) == ["docker", "local"]
    assert list(content["sandboxes"]["local"]) == ["a", "b"]
    assert (tmp_path / LOCK_NAME).read_text().endswith("}\n")


def test_a_number_that_is_none_is_refused_and_leaves_the_lock_as_it_was(tmp_path: Path) -> None:
    update_lock(tmp_path, "local", "demo", {"cpus": 1.0})
    before = (tmp_path / LOCK_NAME).read_bytes()

    with pytest.raises(ValidationError) as caught:
        update_lock(tmp_path, "local", "demo", {"cpus": float("nan")})

    assert "finite_number" in {each["type"] for each in caught.value.errors()}
    assert (tmp_path / LOCK_NAME).read_bytes() == before


def test_a_broken_lock_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text("{")

    with pytest.raises(BlockedError) as caught:
        update_lock(tmp_path, "local", "demo", {"cpus": 1.0})

    assert caught.value.cause is Cause.PARITY
    assert (tmp_path / LOCK_NAME).read_text() == "{"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_one_that_may_not_be_read_blocks(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).touch(mode=0)

    with pytest.raises(BlockedError, match="cannot be read"):
        read_lock(tmp_path)


def test_a_lock_that_is_a_link_to_nowhere_is_no_missing_lock(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).symlink_to("gone")

    with pytest.raises(BlockedError, match="cannot be read"):
        read_lock(tmp_path)
