"""The engine dies, restarts, stops answering or has no room: the run ends blocked, and what is left can be removed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faults_support import assert_clean_end, left_threads
from own_engine import IMAGE, OwnEngine, own_engine, require_own_engine, upon
from scenario_files import Project, command

pytestmark = pytest.mark.docker

DOCKER = "--specbench-sandbox=docker"
RUNNER = {"image": IMAGE, "memory_mb": 64, "workdir": "/work"}
PHASES = {
    "set-up": ("start", {}),
    "agent": ("at work", {"agent": command("echo made > result.txt; echo at work; sleep 600")}),
    "verification": ("checking", {"verification": {"command": "echo checking; sleep 600"}}),
}
"""Phase -> what the engine tells of when it has begun, and the scenario that stays in it."""


@pytest.fixture(scope="module")
def engines() -> Iterator[OwnEngine]:
    """An engine that refuses connections while it is down."""
    require_own_engine()
    with own_engine() as engine:
        yield engine


@pytest.fixture
def mine(engines: OwnEngine, monkeypatch: pytest.MonkeyPatch) -> OwnEngine:
    """That engine, running, as the one that a project finds."""
    monkeypatch.setenv("DOCKER_HOST", engines.host)
    if not engines.answers():
        engines.start()
    return engines


@pytest.mark.parametrize("phase", PHASES)
def test_an_engine_that_dies_blocks_and_what_it_left_is_removed_once_it_is_back(
    project: Project, mine: OwnEngine, phase: str
) -> None:
    """By the next run in one case and by `specbench gc` in the others, for the run itself has nobody to ask."""
    mark, changes = PHASES[phase]
    project.scenario(runner=RUNNER, **changes)
    project.scenario("next", runner=RUNNER)

    with upon(mark, lambda _: mine.kill(), host=mine.host):
        ran = project.process(DOCKER, "-k", "demo")

    assert ran.verdict() == ("blocked", "sandbox_failed", 2)
    assert_clean_end(ran)
    mine.start()
    assert len(mine.containers()) == 1
    if phase == "agent":
        assert project.run(DOCKER, "-k", "next").judged("next") == ("provisional", "verified")
    else:
        assert "1 sandbox of dead runs removed" in project.specbench("gc").out.replace("sandboxes", "sandbox")
    assert mine.containers() == []


@pytest.mark.parametrize("live_restore", [False, True], ids=["containers end with it", "live restore"])
def test_an_engine_that_restarts_loses_the_trial_at_most(
    project: Project, monkeypatch: pytest.MonkeyPatch, live_restore: bool
) -> None:
    """Nothing that it forgot counts against the agent, and nothing is left: the run removes it itself."""
    for phase, (_, changes) in PHASES.items():
        project.scenario(phase, runner=RUNNER, **changes)

    def restart(_event: object) -> None:
        engine.kill()
        engine.start()

    with own_engine(live_restore=live_restore, waits=True) as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.host)
        for phase, (mark, _) in PHASES.items():
            with upon(mark, restart, host=engine.host, scenario=phase):
                ran = project.run(DOCKER, f"--specbench-scenarios={phase}")

            told = ran.judged(phase)
            # What was not under way when it went down may go on as if nothing had happened.
            survived = ("provisional", "verified") if phase == "set-up" and live_restore else told
            assert told == survived or told[0] == "blocked"
            assert told[1] in ("sandbox_failed", "setup_failed", "verified")
            assert_clean_end(ran)
            assert engine.containers() == []


def test_an_engine_that_stops_answering_never_makes_the_agent_too_slow(project: Project, mine: OwnEngine) -> None:
    """The run ends while the engine still says nothing, soon after its deadlines."""
    _, changes = PHASES["agent"]
    project.scenario(runner=RUNNER, deadlines={"agent_sec": 2, "teardown_sec": 1}, **changes)
    try:
        with upon("at work", lambda _: mine.freeze(), host=mine.host):
            ran = project.run(DOCKER)
    finally:
        mine.thaw()

    assert ran.verdict() == ("blocked", "sandbox_failed", 2)
    assert "docker info" in ran.scenario()["notes"]
    assert left_threads() == [], "what was left behind ends when the engine answers"
    assert_clean_end(ran)


FILL = "echo made > result.txt; dd if=/dev/zero of=fill bs=64k; test -s fill"
FULL = {
    "the agent fills it up": {"agent": command(FILL)},
    "and fails of it": {"agent": command(f"{FILL}; false")},
    "an ordinary user does": {"agent": command(f"{FILL}; false"), "runner": {**RUNNER, "user": "1000:1000"}},
    "the verification does, and fails of it": {"verification": {"command": f"{FILL}; false"}},
}


def test_a_disk_of_the_engine_that_is_full_counts_against_nobody(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox has no limit of its disk: who filled it cannot be told, and a full one fails whoever comes next."""
    for number, changes in enumerate(FULL.values()):
        project.scenario(f"full-{number}", **{"runner": RUNNER, **changes})
    with own_engine(disk_mb=32) as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.host)

        ran = project.run(DOCKER)

        for number, case in enumerate(FULL):
            assert ran.verdict(f"full-{number}") == ("blocked", "sandbox_failed", 2), case
            told = ran.scenario(f"full-{number}")["notes"].partition("trial 1 says nothing about the agent: ")[2]
            assert told.startswith(("the disk that the sandbox lies on is full: ", "cannot ")), told
        assert_clean_end(ran)
        assert engine.containers() == []


def test_a_scenario_that_fails_where_there_is_room_has_failed(project: Project, mine: OwnEngine) -> None:
    project.scenario(runner=RUNNER, verification={"command": "false"})

    assert project.run(DOCKER).verdict() == ("regression", "verifier_said_no", 1)
