"""A sandbox whose owner is gone is abandoned; one of a live owner, of another machine or of nobody known is not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from pytest_specbench.sandboxes.owner import PREFIX, deadline_label, is_abandoned, owner_labels


@pytest.fixture(scope="module")
def labels_of_the_dead() -> dict[str, str]:
    code = "import json; from pytest_specbench.sandboxes.owner import owner_labels; print(json.dumps(owner_labels()))"
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_a_process_that_is_gone_has_abandoned_its_sandboxes(labels_of_the_dead):
    assert is_abandoned(labels_of_the_dead)


def test_a_live_process_has_not():
    assert not is_abandoned(owner_labels())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system keeps the time as it was at the start")
def test_a_live_process_has_not_when_the_clock_is_set(monkeypatch, tmp_path):
    """As NTP does, or a machine that wakes up: the kernel then moves the time of the boot, and so every process."""
    labels, boot = owner_labels(), psutil.boot_time()
    moved = re.sub(r"(?m)^btime (\d+)$", lambda told: f"btime {int(told[1]) + 7200}", Path("/proc/stat").read_text())
    (tmp_path / "stat").write_text(moved)
    for name in (str(os.getpid()), "uptime"):
        (tmp_path / name).symlink_to(f"/proc/{name}")
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))

    assert psutil.boot_time() == pytest.approx(boot + 7200, abs=10)
    assert not is_abandoned(labels)


def test_another_process_with_the_same_number_is_not_the_owner():
    assert is_abandoned({**owner_labels(), f"{PREFIX}begun": "-1000.0"})


def test_an_earlier_boot_left_nothing_alive():
    assert is_abandoned({**owner_labels(), f"{PREFIX}boot": "another"})


def test_another_machine_is_never_touched(labels_of_the_dead):
    assert not is_abandoned({**labels_of_the_dead, f"{PREFIX}machine": "another"})


@pytest.mark.parametrize("name", ["machine", "boot", "pid", "begun"])
def test_what_is_not_certain_is_never_touched(labels_of_the_dead, name):
    missing = {key: value for key, value in labels_of_the_dead.items() if key != PREFIX + name}
    assert not is_abandoned(missing)
    if name in ("pid", "begun"):
        assert not is_abandoned({**labels_of_the_dead, PREFIX + name: "?"})


def test_a_deadline_that_is_over_takes_nothing_from_a_live_process():
    assert not is_abandoned({**owner_labels(), **deadline_label(-3600.0)})


def test_the_deadline_is_a_time_in_utc_or_not_there():
    (told,) = deadline_label(90.0).values()
    assert timedelta(seconds=80) < datetime.fromisoformat(told) - datetime.now(UTC) <= timedelta(seconds=90)
    assert told.endswith("+00:00")
    assert deadline_label(None) == {}
