"""The gate on a real engine: limits, images and networks, and that no container is left."""

from __future__ import annotations

from typing import Any

import pytest
from scenario_files import Project, command

pytestmark = pytest.mark.docker

DOCKER = "--specbench-sandbox=docker"


def containers(engine: Any, run_id: str) -> list[str]:
    """Containers of a run that are there, running or not."""
    found = engine.containers.list(all=True, filters={"label": f"org.specbench.run={run_id}"})
    return [container.name for container in found]


def test_a_success_is_recorded_with_image_limits_and_engine(either: Project, engine: Any, runner_image: str) -> None:
    either.scenario(metrics_tracked=["runtime", "exit_status", "success"], runner={"memory_mb": 256})

    ran = either.run(DOCKER)

    assert ran.verdict() == ("provisional", "verified", 0)
    trial = ran.run()["trials"][0]
    assert trial["sandbox"]["backend"] == "docker"
    assert trial["sandbox"]["image"]["reference"] == runner_image
    assert trial["sandbox"]["enforced"] == {"cpus": True, "memory": True, "pids": True, "network": True}
    assert ran.run()["runner_image"] == trial["sandbox"]["image"]["digest"]
    assert ran.run()["fingerprint"]["instrument"]["memory_mb"] == 256
    assert trial["notes"], "how it was measured"
    assert containers(engine, ran.report["run_id"]) == []


def test_memory_that_runs_out_is_the_agents_failure(project: Project, engine: Any, runner_image: str) -> None:
    project.scenario(
        agent=command("python3 -c 'x = bytearray(400_000_000); print(len(x))' && echo made > result.txt"),
        runner={"memory_mb": 64},
    )

    ran = project.run(DOCKER)

    assert ran.verdict() == ("regression", "out_of_memory", 1)
    assert containers(engine, ran.report["run_id"]) == []


def test_an_image_that_is_missing_blocks_with_the_command_that_brings_it(project: Project, engine: Any) -> None:
    project.scenario(runner={"image": "specbench-nobody-has-this:1"})

    ran = project.run(DOCKER)

    assert ran.verdict() == ("blocked", "image_missing", 2)
    assert "docker pull specbench-nobody-has-this:1" in ran.scenario()["notes"]


def test_there_is_no_network_unless_the_scenario_asks_for_it(project: Project, runner_image: str) -> None:
    interfaces = "python3 -c 'import socket; print(*(name for _, name in socket.if_nameindex()))'"
    project.scenario(
        agent=command(f"{interfaces} > result.txt"),
        verification={"command": f"! grep -q eth result.txt && {interfaces} | grep -q eth"},
        runner={"network": {"verification": "bridge"}},
    )

    ran = project.run(DOCKER)

    assert ran.verdict() == ("provisional", "verified", 0)
    assert ran.run()["fingerprint"]["instrument"]["network"] == "none/none/bridge"


def test_an_agent_that_times_out_leaves_no_container(project: Project, engine: Any, runner_image: str) -> None:
    project.scenario(agent=command("sleep 600"), deadlines={"agent_sec": 1})

    ran = project.run(DOCKER)

    assert ran.verdict() == ("regression", "agent_timeout", 1)
    assert containers(engine, ran.report["run_id"]) == []


def test_a_set_up_that_takes_too_long_blocks_and_leaves_no_container(
    project: Project, engine: Any, runner_image: str
) -> None:
    project.scenario(deadlines={"setup_sec": 0.001})

    ran = project.run(DOCKER)

    assert ran.verdict() == ("blocked", "setup_failed", 2)
    assert "deadlines.setup_sec" in ran.scenario()["notes"]


def test_auto_takes_docker_where_the_runner_image_is_there(project: Project, runner_image: str) -> None:
    project.scenario()

    ran = project.run("--specbench-sandbox=auto")

    assert ran.verdict() == ("provisional", "verified", 0)
    assert "specbench: sandbox docker (a Docker engine answers" in ran.out
    assert f"the image {runner_image} is there" in ran.out


def test_fixtures_and_solution_of_a_scenario_work_in_a_container(project: Project, runner_image: str) -> None:
    project.file("given/data.txt", "given\n")
    project.file("solve.sh", "git log --oneline | grep -q . && cp data.txt result.txt\n")
    project.scenario(
        fixtures={"data": {"type": "files", "source": "given"}, "repository": {"type": "git"}},
        prerequisites=["data", "repository"],
        agent={"name": "oracle"},
        solution="solve.sh",
    )

    assert project.run(DOCKER).verdict() == ("provisional", "verified", 0)
