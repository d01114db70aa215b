"""Control groups of version 1, version 2 and the hybrid, from a file system that is made of plain files here."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_specbench.sandboxes import cgroup
from pytest_specbench.sandboxes.docker.usage import reading_of_stats
from pytest_specbench.sandboxes.sampling import Reading, Sampler, SourceGoneError

V2 = {
    "memory.stat": "anon 1000\nfile 5000\nshmem 24\n",
    "memory.peak": "9000\n",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n",
    "cpu.stat": "usage_usec 2500\nuser_usec 2000\nsystem_usec 500\n",
}
V1_MEMORY = {
    "memory.stat": "rss 1\nshmem 2\ntotal_rss 700\ntotal_shmem 50\ntotal_cache 9\n",
    "memory.max_usage_in_bytes": "8000\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
}


def write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def read(root: Path, membership: str) -> Reading:
    group = cgroup.locate(root, membership)
    assert group is not None
    return cgroup.read(group)


def test_version_2(tmp_path: Path) -> None:
    """Working set is `anon` and `shmem`; microseconds become nanoseconds."""
    write(tmp_path / "system.slice/docker-abc.scope", V2)
    reading = read(tmp_path, "0::/system.slice/docker-abc.scope\n")
    assert reading == Reading(cpu_ns=2_500_000, memory=1024, kernel_peak=9000, oom_kills=1)


def test_version_1(tmp_path: Path) -> None:
    """`total_rss` is anonymous memory only; shared memory is beside it."""
    write(tmp_path / "memory/docker/abc", V1_MEMORY)
    write(tmp_path / "cpuacct/docker/abc", {"cpuacct.usage": "77\n"})
    reading = read(tmp_path, "4:memory:/docker/abc\n2:cpuacct:/docker/abc\n0::/docker/abc\n")
    assert reading == Reading(cpu_ns=77, memory=750, kernel_peak=8000, oom_kills=4)


def test_the_peak_begins_anew_where_the_kernel_lets_it(tmp_path: Path) -> None:
    """In version 1; without the right to write, and in version 2, it stays as it is."""
    write(tmp_path / "memory/docker/abc", V1_MEMORY)
    group = cgroup.locate(tmp_path, "4:memory:/docker/abc\n")
    assert group is not None
    assert cgroup.reset_peak(group)
    assert cgroup.read(group).kernel_peak == 0
    (tmp_path / "memory/docker/abc/memory.max_usage_in_bytes").unlink()
    (tmp_path / "memory/docker/abc/memory.max_usage_in_bytes").mkdir()
    assert not cgroup.reset_peak(group)
    write(tmp_path / "two", V2)
    second = cgroup.locate(tmp_path, "0::/two\n")
    assert second is not None
    assert not cgroup.reset_peak(second)
    assert cgroup.read(second).kernel_peak == 9000


def test_version_1_with_controllers_mounted_together(tmp_path: Path) -> None:
    write(tmp_path / "cpu,cpuacct/docker/abc", {"cpuacct.usage": "5\n"})
    assert read(tmp_path, "3:cpu,cpuacct:/docker/abc\n").cpu_ns == 5


def test_hybrid(tmp_path: Path) -> None:
    """A controller that is in no version 1 hierarchy is in the unified one."""
    write(tmp_path / "memory/docker/abc", V1_MEMORY)
    write(tmp_path / "unified/docker/abc", {"cpu.stat": "usage_usec 1\n"})
    reading = read(tmp_path, "4:memory:/docker/abc\n0::/docker/abc\n")
    assert (reading.cpu_ns, reading.memory) == (1000, 750)


def test_what_an_old_kernel_does_not_tell_is_unknown(tmp_path: Path) -> None:
    """No `memory.peak` before 5.19, no `shmem` in old version 1: unknown, not 0."""
    write(tmp_path / "two", {**{k: v for k, v in V2.items() if k != "memory.peak"}, "memory.events": "oom 1\n"})
    reading = read(tmp_path, "0::/two\n")
    assert (reading.kernel_peak, reading.oom_kills) == (None, None)
    write(tmp_path / "memory/one", {**V1_MEMORY, "memory.stat": "total_rss 1\n"})
    assert read(tmp_path, "4:memory:/one\n").memory is None


@pytest.mark.parametrize("membership", ["0::/\n", "0::/../other\n", "4:memory:/elsewhere\n0::/elsewhere\n", ""])
def test_a_group_that_is_not_visible_is_not_guessed(tmp_path: Path, membership: str) -> None:
    """The root group, another namespace's group, one that is not mounted."""
    write(tmp_path / "memory", V1_MEMORY)
    assert cgroup.locate(tmp_path, membership) is None


def test_a_group_that_is_gone_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "g", V2)
    group = cgroup.locate(tmp_path, "0::/g\n")
    assert group is not None
    for file in (tmp_path / "g").iterdir():
        file.unlink()
    with pytest.raises(FileNotFoundError):
        cgroup.read(group)


def test_a_sampler_keeps_the_peak_and_reads_first_and_last() -> None:
    values = iter([10, 90, 20])
    seen = threading.Event()

    def source() -> Reading:
        value = next(values, 20)
        if value == 90:
            seen.set()
        return Reading(cpu_ns=value, memory=value)

    sampler = Sampler(source, 0.001).start()
    assert seen.wait(10)
    observed = sampler.stop()
    assert (observed.first.memory, observed.last.memory, observed.peak_memory) == (10, 20, 90)
    assert observed.problem is None


def test_a_sampler_reads_at_both_ends_even_when_its_interval_never_comes() -> None:
    observed = Sampler(lambda: Reading(memory=1), 3600).start().stop()
    assert observed.samples == 2


def test_what_was_read_before_the_source_went_stands() -> None:
    readings = [Reading(cpu_ns=5, memory=7)]

    def source() -> Reading:
        if readings:
            return readings.pop()
        raise SourceGoneError("the container is gone")

    observed = Sampler(source, 3600).start().stop()
    assert (observed.last.cpu_ns, observed.peak_memory, observed.problem) == (5, 7, "the container is gone")


def test_the_engines_statistics_are_read_where_no_group_is_visible() -> None:
    """Version 2 gives all; version 1 no shared memory, and then the working set is unknown."""
    cpu = {"cpu_usage": {"total_usage": 9}}
    two = {"cpu_stats": cpu, "memory_stats": {"usage": 8, "stats": {"anon": 3, "shmem": 4}}}
    one = {"cpu_stats": cpu, "memory_stats": {"max_usage": 8, "stats": {"total_rss": 3}}}
    assert reading_of_stats(two) == Reading(cpu_ns=9, memory=7)
    assert reading_of_stats(one) == Reading(cpu_ns=9, memory=None, kernel_peak=8)
    with pytest.raises(SourceGoneError):
        reading_of_stats({"cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}})
