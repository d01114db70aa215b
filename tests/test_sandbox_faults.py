"""What befalls a sandbox from outside, and what can run out: each end is told, and never by the wrong name."""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound
from faults_support import assert_clean_end
from own_engine import small_disk, upon
from scenario_files import Project, Ran, command, living_with

pytestmark = pytest.mark.docker

DOCKER = "--specbench-sandbox=docker"
SAY = "echo at work > /proc/1/fd/1"
"""Into the container's log: what says so really runs. An engine that pauses a container while a command is only being
started in it may freeze the starting too, and hang for good.
"""
OUTSIDE = {
    "killed": lambda container: container.kill(),
    "stopped": lambda container: container.stop(timeout=0),
    "restarted": lambda container: container.restart(timeout=0),
    "paused": lambda container: container.pause(),
    "removed": lambda container: container.remove(force=True),
}
STRUCK = "struck-by-a-fault"
"""The scenario whose containers are struck: the engine is shared with others."""
BRIEF = {"deadlines": {"agent_sec": 2, "verification_sec": 2}}
"""For what only a deadline ends."""


@contextmanager
def done_from_outside(engine: Any, done: str, mark: str) -> Iterator[list[str]]:
    """Do it to the container in which a command with `mark` has begun, once that says that it is at work; its id is in
    what this yields.
    """
    struck: list[str] = []

    def act(event: dict[str, Any]) -> None:
        struck.append(event["id"])
        container = engine.containers.get(event["id"])
        if mark != "start":
            next(line for line in container.logs(stream=True, follow=True) if b"at work" in line)
        OUTSIDE[done](container)

    with upon(mark, act, scenario=STRUCK):
        yield struck


def said_of_none(engine: Any, container: str) -> str:
    """What the engine says of a container that is not there."""
    with pytest.raises(NotFound) as said:
        engine.api.inspect_container(container)
    return str(said.value.explanation)


def left(engine: Any, ran: Ran) -> list[str]:
    """Containers of a run that are still there."""
    found = engine.containers.list(all=True, filters={"label": f"org.specbench.run={ran.report['run_id']}"})
    return [container.name for container in found]


def assert_blocked(ran: Ran, engine: Any, cause: str = "sandbox_failed") -> None:
    """Infrastructure failed, cleanly."""
    assert ran.verdict(STRUCK) == ("blocked", cause, 2)
    assert_clean_end(ran)
    assert left(engine, ran) == []


class TestFromOutside:
    """Somebody else uses the engine: blocked, whoever was at work inside."""

    @pytest.mark.parametrize("done", OUTSIDE)
    def test_in_the_agent_phase(self, project: Project, engine: Any, runner_image: str, done: str) -> None:
        changes = BRIEF if done == "paused" else {}
        project.scenario(STRUCK, agent=command(f"echo made > result.txt; {SAY}; sleep 600"), **changes)

        with done_from_outside(engine, done, "exec_start") as struck:
            ran = project.run(DOCKER)

        assert_blocked(ran, engine)
        notes = ran.scenario(STRUCK)["notes"]
        assert "from outside" in notes or said_of_none(engine, struck[0]) in notes

    @pytest.mark.parametrize("done", ["stopped", "paused", "removed"])
    def test_in_verification(self, project: Project, engine: Any, runner_image: str, done: str) -> None:
        changes = BRIEF if done == "paused" else {}
        project.scenario(STRUCK, verification={"command": f"{SAY}; sleep 600"}, **changes)

        with done_from_outside(engine, done, "sleep 600"):
            ran = project.run(DOCKER)

        # The engine notes who asked for it a moment after the command has ended by it.
        assert ran.judged(STRUCK)[1] in ("sandbox_failed", "verifier_timeout", "verifier_crashed")
        assert_blocked(ran, engine, ran.judged(STRUCK)[1])

    @pytest.mark.parametrize("done", ["killed", "removed"])
    def test_in_set_up(self, project: Project, engine: Any, runner_image: str, done: str) -> None:
        project.scenario(STRUCK, agent=command("sleep 600"))

        with done_from_outside(engine, done, "start"):
            ran = project.run(DOCKER)

        assert ran.judged(STRUCK)[1] in ("sandbox_failed", "setup_failed")
        assert_blocked(ran, engine, ran.judged(STRUCK)[1])

    def test_an_agent_that_kills_its_own_keeper_has_done_so_itself(
        self, project: Project, engine: Any, runner_image: str
    ) -> None:
        """Nobody asked the engine for it: what the agent's command makes of it is the agent's."""
        project.scenario(STRUCK, agent=command("echo made > result.txt; kill -9 -1; sleep 600"))

        ran = project.run(DOCKER)

        assert ran.verdict(STRUCK) == ("regression", "agent_crashed", 1)
        assert_clean_end(ran)
        assert left(engine, ran) == []


def test_an_image_that_vanishes_before_the_container_is_made(project: Project, engine: Any, runner_image: str) -> None:
    """It was there when it was identified."""
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    name = f"specbench-test-{uuid.uuid4().hex[:8]}"
    engine.api.import_image_from_data(empty.getvalue(), repository=name, tag="1")
    project.module(
        "vanishing",
        f"""
from pytest_specbench.agents.nop import NopAgent
import docker

class Agent(NopAgent):
    def prepare(self, task):
        docker.from_env().images.remove("{name}:1", force=True)
""",
    )
    project.scenario(STRUCK, agent={"name": "vanishing:Agent"}, runner={"image": f"{name}:1"})

    ran = project.run(DOCKER)

    assert_blocked(ran, engine, "image_missing")
    assert f"docker pull {name}:1" in ran.scenario(STRUCK)["notes"]


def test_an_image_whose_tag_is_moved_before_the_container_is_made(
    project: Project, engine: Any, runner_image: str
) -> None:
    """The agent would act in another image than the one that the record names."""
    name = f"specbench-test-{uuid.uuid4().hex[:8]}"
    engine.images.get(runner_image).tag(name, "1")
    project.module(
        "moving",
        f"""
from pytest_specbench.agents.command import CommandAgent
import docker

class Agent(CommandAgent):
    def prepare(self, task):
        made = docker.from_env().containers.create("{runner_image}", ["true"])
        made.commit("{name}", "1", changes=["USER 1000:1000"])
        made.remove()
""",
    )
    agent = {"name": "moving:Agent", "options": {"command": "echo made > result.txt"}}
    project.scenario(STRUCK, agent=agent, runner={"image": f"{name}:1"})

    try:
        ran = project.run(DOCKER)
    finally:
        engine.images.remove(f"{name}:1")

    assert_blocked(ran, engine, "parity")
    assert f"the image '{name}:1' is not the one that the run began with" in ran.scenario(STRUCK)["notes"]


def fill(disk: Path) -> None:
    """Leave no room on it."""
    with suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


class TestHostDisk:
    """The disk that the artifacts go to fills up: blocked, whatever the agent made of it."""

    @pytest.fixture
    def output(self, project: Project) -> Iterator[str]:
        with small_disk(project.path / "small", 2) as folder:
            yield f"--specbench-output={folder}"

    @pytest.mark.parametrize("filler", ["agent", "verification", "set-up"])
    def test_no_room_for_artifacts(
        self, project: Project, engine: Any, runner_image: str, output: str, filler: str
    ) -> None:
        print_much = "echo made > result.txt; yes 'much to say' | head -c 4000000"
        changes: dict[str, Any] = {
            "agent": {"agent": command(print_much)},
            "verification": {"verification": {"command": print_much}},
            "set-up": {},
        }[filler]
        project.scenario(STRUCK, **changes)
        small = project.path / "small"

        with upon("start", lambda _: fill(small), scenario=STRUCK) if filler == "set-up" else nullcontext():
            ran = project.run(DOCKER, output)

        assert ran.code == 2
        assert "Traceback" not in ran.out + ran.err
        assert "cannot write" in ran.out + ran.err


class TestMemory:
    """That runs out in verification; in the agent phase it is the agent's failure (test_gate_docker.py)."""

    EAT = "python3 -c 'x = bytearray(400_000_000)'"

    def test_in_the_verification_command(self, project: Project, engine: Any, runner_image: str) -> None:
        project.scenario(STRUCK, verification={"command": self.EAT}, runner={"memory_mb": 64})

        ran = project.run(DOCKER)

        assert_blocked(ran, engine, "verifier_crashed")

    def test_in_a_program_that_the_verification_command_judges(
        self, project: Project, engine: Any, runner_image: str
    ) -> None:
        """It wraps the call, and says no."""
        project.scenario(STRUCK, verification={"command": f"{self.EAT} || exit 1"}, runner={"memory_mb": 64})

        assert project.run(DOCKER).verdict(STRUCK) == ("regression", "verifier_said_no", 1)


FORKS = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
VERIFIERS = {
    "ignores SIGTERM": "trap '' TERM INT HUP; sleep 98761 & while :; do wait; done",
    "forks without end": f"python3 -c '{FORKS}' 'sleep 98761'",
    "leaves its session": "setsid sleep 98761 & sleep 98761",
}


class TestVerifierOutOfHand:
    @pytest.mark.parametrize("script", VERIFIERS.values(), ids=VERIFIERS)
    def test_it_is_killed_at_its_deadline(self, project: Project, engine: Any, runner_image: str, script: str) -> None:
        project.scenario(
            STRUCK,
            verification={"command": script},
            deadlines={"verification_sec": 2},
            runner={"memory_mb": 128, "pids": 48},
        )

        ran = project.run(DOCKER)

        assert_blocked(ran, engine, "verifier_timeout")
        assert living_with("sleep 98761") == []

    def test_its_output_is_bounded_on_disk_and_in_memory(
        self, project: Project, engine: Any, runner_image: str
    ) -> None:
        """100 MB pass through this process while it grows by a few; what is over the limit is counted."""
        project.module(
            "measured",
            """
import resource
from pytest_specbench.recording import folder

folder.PostTestWriter.__init__.__kwdefaults__["limit"] = 5_000_000
before = []

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000

def pytest_runtest_logreport(report):
    if report.when in ("call", "setup") and hasattr(report, "specbench"):
        before.append(peak())

def pytest_unconfigure():
    print("grown by", round(before[1] - before[0]), "MB")
""",
        )
        project.scenario("a-little", verification={"command": "yes little | head -c 1000000"})
        project.scenario("b-much", verification={"command": "yes 'much to say' | head -c 100000000"})

        ran = project.process(DOCKER, "-p", "measured")

        assert ran.judged("b-much") == ("provisional", "verified")
        assert_clean_end(ran)
        kept = ran.trial("b-much") / "post-test.txt"
        assert kept.stat().st_size < 5_100_000
        assert "more bytes were left out" in kept.read_text("utf-8")[-100:]
        assert int(ran.out.partition("grown by ")[2].split()[0]) < 60
