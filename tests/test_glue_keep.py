"""`--specbench-keep`: each trial's sandbox stays for a look, dead and without a network, until somebody removes it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scenario_files import LEAN, Project, Ran, command, living_with

DOCKER = pytest.param("docker", marks=pytest.mark.docker)


pytestmark = pytest.mark.usefixtures("own_temporary_folder")


@pytest.fixture(params=["local", DOCKER])
def sandbox(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> Iterator[str]:
    """Both sandboxes; what a test keeps in the engine is removed after it."""
    if request.param == "docker":
        request.getfixturevalue("runner_image")
        engine = request.getfixturevalue("engine")
        yield "docker"
        for path in pytester.path.glob(".terminalbench/runs/*"):
            for left in engine.containers.list(all=True, filters={"label": f"org.specbench.run={run_id(path)}"}):
                left.remove(force=True, v=True)
    else:
        yield "local"


def run_id(run_folder: Path) -> str:
    return str(json.loads((run_folder / "begun.json").read_text())["run_id"])


def inside(kept: dict[str, Any], line: str) -> str:
    """What a command says that is run where the summary says."""
    if kept["enter"].startswith("docker exec"):
        argv = ["docker", "exec", kept["name"], "sh", "-c", f"cd /work 2>/dev/null || cd /app; {line}"]
    else:
        argv = ["sh", "-c", f"{kept['enter']} && {line}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


class TestWhatIsKept:
    def test_each_trial_with_what_the_agent_left_and_nothing_of_it_running(self, either: Project, sandbox: str) -> None:
        line = "echo made > result.txt; (setsid sleep 86391 &) ; sleep 0.1"
        either.scenario(agent=command(line), trials=2)

        ran = either.run(f"--specbench-sandbox={sandbox}", "--specbench-keep")

        assert ran.verdict() == ("provisional", "verified", 0)
        kept = ran.report["kept"]
        assert len(kept) == 2
        assert {each["scenario_id"] for each in kept} == {"demo"}
        assert {each["run_id"] for each in kept} == {ran.report["run_id"]}
        for each in kept:
            assert each["enter"] in ran.out
            assert each["remove"] in ran.out
            assert "result.txt" in inside(
                each, "ls -R / 2>/dev/null | grep result.txt" if sandbox == "docker" else "ls"
            )
        assert living_with("sleep 86391") == []
        assert [trial["kept"]["name"] for trial in ran.run()["trials"]] == [each["name"] for each in kept]

    def test_after_the_agent_failed(self, project: Project, sandbox: str) -> None:
        project.scenario(agent=command("echo wrong > other.txt; exit 3"))
        ran = project.run(f"--specbench-sandbox={sandbox}", "--specbench-keep")
        assert ran.code == 1
        assert len(ran.report["kept"]) == 1

    def test_after_a_fixture_failed(self, project: Project, sandbox: str) -> None:
        """What blocked the trial is what one wants to look at."""
        fixtures = {name: {"type": "git"} for name in ("one", "two")}  # the second finds the first one's
        project.scenario(fixtures=fixtures, prerequisites=["one", "two"])

        ran = project.run(f"--specbench-sandbox={sandbox}", "--specbench-keep")

        assert ran.verdict() == ("blocked", "setup_failed", 2)
        [kept] = ran.report["kept"]
        assert inside(kept, "git rev-parse --abbrev-ref HEAD")

    def test_without_the_option_nothing(self, either: Project, own_temporary_folder: Path) -> None:
        either.scenario()
        ran = either.run()
        assert ran.report["kept"] == []
        assert "kept" not in ran.out
        assert list(own_temporary_folder.glob("specbench-*")) == []

    def test_as_json_the_report_says_it(self, project: Project) -> None:
        project.scenario()
        ran = project.process("--specbench-keep", "--specbench-format=json")
        [kept] = json.loads(ran.out)["kept"]
        assert kept["enter"] in ran.err

    def test_for_a_scenario_that_an_ordinary_test_runs(self, project: Project) -> None:
        project.scenario(file="scenarios/demo.scenario.yaml")
        project.file("test_it.py", "def test_it(specbench):\n    specbench('scenarios/demo.scenario.yaml')\n")
        ran = project.run("test_it.py", "--specbench-keep")
        assert re.search(r"demo: cd \S+", ran.out)


def test_it_stays_until_it_is_removed(project: Project, sandbox: str) -> None:
    """Neither the next run nor `specbench gc` takes it away, though its owner is gone; the latter tells of it."""
    project.scenario()
    ran = project.process(f"--specbench-sandbox={sandbox}", "--specbench-keep")  # in a process that is gone then
    [kept] = ran.report["kept"]

    assert project.run(f"--specbench-sandbox={sandbox}").code == 0
    told = project.specbench("gc").out
    assert inside(kept, "echo there") == "there\n"
    assert f"kept {kept['name']} (run {kept['run_id'][:8]}, scenario demo): {kept['enter']}" in told
    assert "specbench gc --kept" in told

    if sandbox == "docker":
        subprocess.run(["sh", "-c", kept["remove"]], check=True, capture_output=True)  # no --kept: others' would go
    else:
        gone = project.specbench("gc", "--kept").out
        assert f"removed folder {kept['name']}" in gone
    assert kept["name"] not in project.specbench("gc").out


@pytest.mark.docker
def test_a_kept_container_has_no_network_and_only_its_keeper(project: Project, engine: Any, runner_image: str) -> None:
    project.scenario(runner={"network": "bridge"}, agent=command("echo made > result.txt; (sleep 86392 &)"))
    ran = project.run("--specbench-sandbox=docker", "--specbench-keep")
    [kept] = ran.report["kept"]
    container = engine.containers.get(kept["name"])
    try:
        assert container.status == "running"
        assert set(container.attrs["NetworkSettings"]["Networks"]) <= {"none"}
        assert len(container.top(ps_args="-eo pid,args")["Processes"]) == 2
        assert container.name.startswith("specbench-kept-")
        assert container.labels["org.specbench.run"] == ran.report["run_id"]
    finally:
        container.remove(force=True, v=True)


@pytest.mark.docker
def test_an_agent_that_replaced_the_keeper_is_kept_stopped(project: Project, engine: Any, runner_image: str) -> None:
    line = "echo made > result.txt; rm -f /bin/sleep /usr/bin/sleep; printf '#!/bin/sh\\nexec cat' > /bin/sleep"
    project.scenario(agent=command(line))
    ran = project.run("--specbench-sandbox=docker", "--specbench-keep")
    [kept] = ran.report["kept"]
    container = engine.containers.get(kept["name"])
    try:
        assert ran.code == 1
        assert container.status == "exited"
        assert kept["enter"] == f"docker cp {kept['name']}:/ - | tar -t"
    finally:
        container.remove(force=True, v=True)


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["no xdist", "n2"])
def test_an_interrupted_trial_is_kept_too(project: Project, workers: tuple[str, ...]) -> None:
    """Who stops an agent that hangs wants to see what it did."""
    os.mkfifo(project.path / "started")
    project.scenario(agent=command(f"echo seen > seen.txt; echo at work > {project.path}/started; sleep 86393"))
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *LEAN, "--specbench-keep", *workers],
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert (project.path / "started").read_text() == "at work\n"
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)

    [kept] = Ran(process.returncode, out, "", project.path / ".terminalbench").report["kept"]
    assert kept["enter"] in out
    assert inside(kept, "cat seen.txt") == "seen\n"
    assert living_with("sleep 86393") == []


def test_what_was_to_be_kept_and_died_first_is_reaped(project: Project, own_temporary_folder: Path) -> None:
    """It is marked last: an agent may still run in what a killed run left."""
    os.mkfifo(project.path / "started")
    project.scenario(agent=command(f"echo at work > {project.path}/started; sleep 86394"))
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *LEAN, "--specbench-keep"], cwd=project.path, stdout=subprocess.DEVNULL
    )
    assert (project.path / "started").read_text() == "at work\n"
    process.kill()
    process.wait(timeout=30)

    assert "removed folder" in project.specbench("gc").out
    assert living_with("sleep 86394") == []
    assert list(own_temporary_folder.glob("specbench-*")) == []


def test_a_sandbox_that_cannot_be_kept_says_so_before_anything_runs(project: Project) -> None:
    project.module(
        "own_box",
        """
        from pytest_specbench.sandboxes.local.backend import LocalBackend

        class Plain:
            name, isolates = "plain", False
            def __init__(self):
                self.availability, self.identify, self.start = (
                    getattr(LocalBackend(), name) for name in ("availability", "identify", "start")
                )
        """.replace("\n        ", "\n"),
    )
    project.scenario(agent=command(f"touch {project.path}/ran; echo made > result.txt"))
    sandbox = "--specbench-sandbox=own_box:Plain"

    refused = project.process(sandbox, "--specbench-keep")

    assert refused.verdict() == ("blocked", "configuration", 2)
    assert "cannot be kept" in refused.scenario()["notes"]
    assert not (project.path / "ran").exists()
    assert project.process(sandbox).code == 0
