"""What the plugin costs, each beside a named floor and the target. Prints, and asserts nothing: machines differ.

    python tests/perf/measure.py [--repeat N] [idle] [collect] [trial] [session]

idle      `pytest --collect-only` in an unrelated project, against the same with the plugin blocked
collect   10,000 scenario files, against 10,000 parametrised tests in plain pytest; and memory per collected item
trial     one hello-world trial in Docker, against the same work by a bare docker-py script, as an unprivileged user and
          as root; and where its time goes
session   a whole pytest process with one hello-world scenario in Docker, and eight under -n 4

All together take about two minutes; `--repeat 3` measures everything three times as often.
"""

from __future__ import annotations

import argparse
import io
import json
import os
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
runner: {{image: "{image}", user: "{user}"}}
"""
HEAVY = (
    "asyncio",
    "docker",
    "filelock",
    "jsonschema",
    "litellm",
    "psutil",
    "pydantic",
    "requests",
    "sqlite3",
    "terminal_bench",
    "yaml",
)
"""What an unrelated project must not be made to wait for."""
USERS = {"an unprivileged user": "1000:1000", "root": "0:0"}
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


def main() -> None:
    parts: dict[str, Callable[[Path, int], None]] = {
        "idle": idle,
        "collect": collect,
        "trial": trial,
        "session": session,
    }
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=1, help="how many times as often everything is measured")
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="what to measure (default: everything)")
    arguments = parser.parse_args()
    for name in arguments.parts or parts:
        with tempfile.TemporaryDirectory() as folder:
            parts[name](Path(folder), arguments.repeat)


def idle(folder: Path, repeat: int) -> None:
    """Blocked and loaded in turn, so that a machine that slows down slows both."""
    (folder / "test_unrelated.py").write_text("def test_nothing():\n    pass\n")
    times = [
        (run_pytest(folder, "-p", "no:specbench", "--collect-only"), run_pytest(folder, "--collect-only"))
        for _ in range(11 * repeat)
    ]
    floor, ours = (statistics.median(column) for column in zip(*times, strict=True))
    difference = statistics.median(b - a for a, b in times)
    show("idle: collect-only of an unrelated project", ours, floor, "the same without the plugin")
    target(f"the plugin adds {difference * 1000:.0f} ms (median of pairs)", "< 20 ms")
    target(f"heavy modules that it imports there: {', '.join(imported(folder)) or 'none'}", "none")


def imported(folder: Path) -> list[str]:
    """Heavy modules that are imported with the plugin, and not without."""
    loaded = []
    for options in (["-p", "no:specbench"], ["-p", "pytest_specbench.plugin"]):
        code = (
            "import pytest, sys; pytest.main(sys.argv[2:]);"
            "print(*(name for name in sys.argv[1].split() if name in sys.modules), file=sys.stderr)"
        )
        arguments = ["-p", "no:cacheprovider", "--rootdir", str(folder), "--collect-only", *options]
        command = [sys.executable, "-c", code, " ".join(HEAVY), *arguments]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        loaded.append(set(done.stderr.split()))
    return sorted(loaded[1] - loaded[0])


def collect(folder: Path, repeat: int) -> None:
    count = 10_000
    plain, scenarios, few = folder / "plain", folder / "scenarios", folder / "few"
    plain.mkdir()
    (plain / "test_many.py").write_text(
        f"import pytest\n@pytest.mark.parametrize('n', range({count}))\ndef test_one(n):\n    pass\n"
    )
    write_scenarios(scenarios, count)
    write_scenarios(few, 10)
    # The floor first and last, so that neither side has all of what is cached.
    floors, ours = [], []
    for _ in range(repeat):
        floors.append(run_pytest(plain, "--collect-only", "-qq"))
        ours += [run_pytest(scenarios, "--collect-only", "-qq") for _ in range(2)]
        floors.append(run_pytest(plain, "--collect-only", "-qq"))
    name = f"collect: {count} scenario files"
    show(name, statistics.median(ours), statistics.median(floors), f"{count} parametrised tests in plain pytest")
    target("", "< 5 s")
    grown = (peak_kb(scenarios) - peak_kb(few)) / (count - 10)
    target(f"memory for each collected item: {grown:.1f} KB", "< 10 KB")


def trial(folder: Path, repeat: int) -> None:
    """Trials of one session, so that imports and start-up are outside of both sides. The first of each is left out."""
    rounds = 10 * repeat
    for who, user in USERS.items():
        place = folder / user.replace(":", "-")
        write_scenarios(place, 1, user)
        floors = [bare_docker(user) for _ in range(rounds // 2)]
        run_pytest(place, *OPTIONS, f"--specbench-trials={rounds + 1}")
        floors += [bare_docker(user) for _ in range(rounds // 2)]
        paths = sorted(place.glob(".terminalbench/latest/s0/trial-*/summary.json"))
        records = [json.loads(path.read_text()) for path in paths][1:]
        ours = statistics.median(record["duration_ms"] for record in records) / 1000
        work = f"create, start, copy in, exec, copy in, exec, remove by docker-py as {user}"
        show(f"trial: hello world in Docker as {who}", ours, statistics.median(floors), work)
        target("", "<= 1.3 times")
        phases = {
            phase: statistics.median(record["phases_ms"].get(phase, 0) for record in records)
            for phase in records[0]["phases_ms"]
        }
        phases["between them"] = ours * 1000 - sum(phases.values())
        for phase, milliseconds in phases.items():
            print(f"    {phase:13}{milliseconds:7.0f} ms")


def session(folder: Path, repeat: int) -> None:
    one, eight = folder / "one", folder / "eight"
    write_scenarios(one, 1)
    write_scenarios(eight, 8)
    user = USERS["an unprivileged user"]
    floor = statistics.median(bare_docker(user) for _ in range(5 * repeat))
    empty = folder / "empty"
    empty.mkdir()
    (empty / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    start = statistics.median(run_pytest(empty, "-p", "no:specbench") for _ in range(3 * repeat))
    show(
        "session: pytest with one scenario",
        statistics.median(run_pytest(one, *OPTIONS) for _ in range(3 * repeat)),
        floor + start,
        "the bare trial and pytest's own start",
    )
    target("", "< 2.5 s")
    show(
        "session: eight scenarios, -n 4",
        statistics.median(run_pytest(eight, *OPTIONS, "-n4") for _ in range(3 * repeat)),
        8 * floor,
        "eight bare trials, one after another",
    )
    target("", "< 8 s")


OPTIONS = ("--specbench-approval-mode=full-access", "--specbench-allow-dirty")


def write_scenarios(folder: Path, count: int, user: str = USERS["an unprivileged user"]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "solve.sh").write_text("echo hello > hello.txt\n")
    (folder / "registry.json").write_text(json.dumps(REGISTRY))
    for n in range(count):
        (folder / f"s{n}.scenario.yaml").write_text(HELLO.format(name=f"s{n}", image=IMAGE, user=user))


def run_pytest(folder: Path, *arguments: str) -> float:
    """Seconds of the whole process. Other plugins are left out: they would hide what is measured."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_specbench.plugin"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled once, not in every session
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
    return float(done.stdout)


def bare_docker(user: str) -> float:
    """The floor: what a trial must at least ask of the engine. Same image, user, limits and fences as ours; the keeper
    is root's, and what is copied in is the user's.
    """
    import docker

    client = docker.from_env()
    begun = time.perf_counter()
    container = client.containers.create(
        IMAGE,
        ["sleep", "infinity"],
        init=True,
        network_mode="none",
        user="0:0",
        cap_drop=["ALL"],
        cap_add=["CHOWN", "KILL", "SETGID", "SETUID"],
        security_opt=["no-new-privileges"],
        mem_limit="2g",
        pids_limit=512,
    )
    try:
        container.start()
        for name, script in (("solve.sh", "echo hello > /tmp/hello.txt"), ("check.sh", "grep -q hello /tmp/hello.txt")):
            container.put_archive("/tmp", archive(name, script.encode(), int(user.partition(":")[0])))
            assert container.exec_run(["sh", f"/tmp/{name}"], user=user).exit_code == 0
    finally:
        container.remove(force=True)
        client.close()
    return time.perf_counter() - begun


def archive(name: str, content: bytes, owner: int) -> bytes:
    """A tar archive of one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size, info.uid, info.gid = len(content), owner, owner
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def target(measured: str, wanted: str) -> None:
    print(f"    {measured + '; ' if measured else ''}target: {wanted}")


def show(what: str, ours: float, floor: float, floor_name: str) -> None:
    print(f"{what}: {ours:.2f} s, {ours / floor:.2f} times the floor of {floor:.2f} s ({floor_name})")


if __name__ == "__main__":
    main()
