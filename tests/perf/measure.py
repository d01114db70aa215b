"""What the plugin costs, each as a ratio to a named floor. Prints, and asserts nothing: machines differ.

    python tests/perf/measure.py [idle] [collect] [trial] [session]

idle      `pytest --collect-only` in an unrelated project, against the same with the plugin blocked
collect   10,000 scenario files, against 10,000 parametrised tests in plain pytest; and memory per collected item
trial     one hello-world trial in Docker, against the same work by a bare docker-py script; and where its time goes
session   a whole pytest process with one hello-world scenario in Docker, and eight under -n 4
"""

from __future__ import annotations

import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HELLO = """\
scenario_id: {name}
display_name: Hello
command_path: hello
owner_rotation: nobody
registry_version: perf==1
instruction: Write hello into hello.txt.
agent: {{name: oracle}}
solution: solve.sh
approval_mode: full-access
success_artifacts: [{{path: hello.txt}}]
verification: {{command: grep -q hello hello.txt}}
metrics_tracked: [exit_status, success]
"""
REGISTRY = [
    {
        "name": "perf",
        "version": "1",
        "terminal_bench_version": ">=0.2.18",
        "github_url": ".",
        "dataset_path": ".",
        "branch": "main",
        "commit_hash": "head",
    }
]
IMAGE = "specbench-runner:1"


def main(wanted: list[str]) -> None:
    parts: dict[str, Callable[[Path], None]] = {"idle": idle, "collect": collect, "trial": trial, "session": session}
    for name in wanted or parts:
        with tempfile.TemporaryDirectory() as folder:
            parts[name](Path(folder))


def idle(folder: Path) -> None:
    """Blocked and loaded in turn, so that a machine that slows down slows both."""
    (folder / "test_unrelated.py").write_text("def test_nothing():\n    pass\n")
    times = [
        (run_pytest(folder, "-p", "no:specbench", "--collect-only"), run_pytest(folder, "--collect-only"))
        for _ in range(11)
    ]
    floor, ours = (statistics.median(column) for column in zip(*times, strict=True))
    difference = statistics.median(b - a for a, b in times)
    show("idle: collect-only of an unrelated project", ours, floor, "the same without the plugin")
    print(f"    the plugin adds {difference * 1000:.0f} ms (median of pairs)")


def collect(folder: Path) -> None:
    count = 10_000
    plain, scenarios = folder / "plain", folder / "scenarios"
    plain.mkdir()
    (plain / "test_many.py").write_text(
        f"import pytest\n@pytest.mark.parametrize('n', range({count}))\ndef test_one(n):\n    pass\n"
    )
    write_scenarios(scenarios, count)
    floor = min(run_pytest(plain, "--collect-only", "-qq") for _ in range(2))
    ours = min(run_pytest(scenarios, "--collect-only", "-qq") for _ in range(2))
    show(f"collect: {count} scenario files", ours, floor, f"{count} parametrised tests in plain pytest")
    few = folder / "few"
    write_scenarios(few, 10)
    grown = (peak_kb(scenarios) - peak_kb(few)) / (count - 10)
    print(f"    memory for each collected item: {grown:.1f} KB")


def trial(folder: Path) -> None:
    """Trials of one session, so that imports and start-up are outside of both sides."""
    rounds = 7
    write_scenarios(folder, 1)
    run_pytest(folder, *OPTIONS, f"--specbench-trials={rounds}")
    records = [
        json.loads(path.read_text()) for path in sorted(folder.glob(".terminalbench/latest/s0/trial-*/summary.json"))
    ]
    floor = statistics.median(bare_docker() for _ in range(rounds))
    ours = statistics.median(record["duration_ms"] for record in records) / 1000
    show(
        "trial: hello world in Docker", ours, floor, "create, start, copy in, exec, copy in, exec, remove by docker-py"
    )
    for phase in records[0]["phases_ms"]:
        print(f"    {phase:13}{statistics.median(record['phases_ms'][phase] for record in records):7.0f} ms")


def session(folder: Path) -> None:
    one, eight = folder / "one", folder / "eight"
    write_scenarios(one, 1)
    write_scenarios(eight, 8)
    floor = statistics.median(bare_docker() for _ in range(5))
    empty = folder / "empty"
    empty.mkdir()
    (empty / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    start = min(run_pytest(empty, "-p", "no:specbench") for _ in range(3))
    show(
        "session: pytest with one scenario",
        min(run_pytest(one, *OPTIONS) for _ in range(3)),
        floor + start,
        "the bare trial and pytest's own start",
    )
    show(
        "session: eight scenarios, -n 4",
        min(run_pytest(eight, *OPTIONS, "-n4") for _ in range(3)),
        8 * floor,
        "eight bare trials, one after another",
    )


OPTIONS = ("--specbench-approval-mode=full-access", "--specbench-allow-dirty")


def write_scenarios(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "solve.sh").write_text("echo hello > hello.txt\n")
    (folder / "registry.json").write_text(json.dumps(REGISTRY))
    for n in range(count):
        (folder / f"s{n}.scenario.yaml").write_text(HELLO.format(name=f"s{n}"))


def run_pytest(folder: Path, *arguments: str) -> float:
    """Seconds of the whole process. Other plugins are left out: they would hide what is measured."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_specbench.plugin"}
    if "no:specbench" in arguments:
        environment.pop("PYTEST_PLUGINS")
    if any(argument.startswith("-n") and argument[2:].isdigit() for argument in arguments):
        environment["PYTEST_PLUGINS"] += ",xdist"
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return seconds


def peak_kb(folder: Path) -> float:
    """Peak resident set of a pytest process that collects the folder, in KB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-qq",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        "--collect-only",
    ]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_specbench.plugin"}
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert before >= 0
    return float(done.stdout)


def bare_docker() -> float:
    """The floor: what a trial must at least ask of the engine."""
    import docker

    client = docker.from_env()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("solve.sh")
        content = b"echo hello > /work/hello.txt\n"
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    begun = time.perf_counter()
    container = client.containers.create(IMAGE, ["sleep", "infinity"], init=True, network_mode="none")
    try:
        container.start()
        for command in ("sh /tmp/solve.sh", "grep -q hello /work/hello.txt"):
            container.put_archive("/tmp", archive.getvalue())
            assert container.exec_run(["sh", "-c", command]).exit_code == 0
    finally:
        container.remove(force=True)
    return time.perf_counter() - begun


def show(what: str, ours: float, floor: float, floor_name: str) -> None:
    print(f"{what}: {ours:.2f} s, {ours / floor:.2f} times the floor of {floor:.2f} s ({floor_name})")


if __name__ == "__main__":
    main(sys.argv[1:])
