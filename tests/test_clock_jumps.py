"""The clock of the machine is set while a run goes on: times of day are told wrong, and nothing else changes."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from faults_support import assert_clean_end
from scenario_files import Project, command

import pytest_specbench

WALL_CLOCK = {
    "agents/models/failures.py": "a provider's `Retry-After` names a time of day",
    "agents/models/record.py": "says when a cassette was recorded",
    "agents/orchestrator/file_journal.py": "says when something happened",
    "approvals/approving.py": "what a dry run would date an approval with",
    "gate/benchmark_record.py": "says when a scenario that gave no verdict was recorded",
    "commands/baseline.py": "what a difference would date an approval with",
    "approvals/decisions.py": "says when a maintainer decided",
    "gate/recipe.py": "says when a benchmark run began, and which approvals have expired",
    "incidents/http.py": "a tracker's `Retry-After` may name a time of day",
    "incidents/webhook.py": "dates a message",
    "options.py": "names the run folder",
    "recording/journal.py": "says when a trial began; what follows is counted from there by a monotonic clock",
    "approvals/proposals.py": "which expiries are over",
    "reporting/progress.py": "what several processes show while they run; nothing is decided by it",
    "recording/run_start.py": "says when a run began",
    "gate/resuming.py": "see test_glue_resume.py",
    "reporting/summary.py": "says when a report was made",
    "sandboxes/owner.py": "a label for people; where the system tells the start of a process by the time of day only",
    "store/baselines/audit.py": "which acknowledgements are over",
    "store/baselines/identity.py": "whether a key is valid today",
    "store/runs/index.py": "names a file that is put aside",
    "store/runs/indexing.py": "whether a run without a report is old enough to have ended",
    "store/runs/retention.py": "how old a run is",
    "store/trusted/proposals.py": "whether an entry is of a time to come, and its key valid today",
    "session/ending.py": "says when a report was made",
    "session/session.py": "says when a session began, and so which records are of an earlier one",
    "trial/recipe.py": "says when a trial began",
}
"""Modules that read the clock that may be set -> what for."""
JUMPING = """
import datetime, importlib, itertools, time

real, calls = time.time, itertools.count()

def jumping():
    return real() + (7200.0 if next(calls) % 2 else -7200.0)

class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(jumping(), tz)

time.time = jumping
for name in ("gate.recipe", "trial.recipe", "session.ending", "recording.journal", "options"):
    module = importlib.import_module("pytest_specbench." + name)
    assert module.datetime is datetime.datetime
    module.datetime = Jumping
"""
"""Every reading is two hours off, in turns to either side."""


def reads_wall_clock(source: str) -> bool:
    """Whether a module calls or passes on `time.time`, `datetime.now` or their like."""
    names = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
    return any(
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in names
        for node in ast.walk(ast.parse(source))
    )


def test_only_what_tells_the_time_of_day_reads_the_clock_that_may_be_set() -> None:
    """Deadlines, waits, durations and the runtime are by monotonic clocks."""
    root = Path(pytest_specbench.__file__).parent
    found = {
        path.relative_to(root).as_posix() for path in root.rglob("*.py") if reads_wall_clock(path.read_text("utf-8"))
    }
    assert found == set(WALL_CLOCK)


@pytest.mark.parametrize(
    "sandbox", ["local", pytest.param("docker", marks=pytest.mark.docker)], ids=["local", "docker"]
)
def test_a_clock_that_jumps_by_hours_changes_no_verdict(
    project: Project, request: pytest.FixtureRequest, sandbox: str
) -> None:
    if sandbox == "docker":
        request.getfixturevalue("runner_image")
    project.module("jumping", JUMPING)
    project.scenario("good", metrics_tracked=["runtime", "success"])
    project.scenario("slow", agent=command("sleep 600"), deadlines={"agent_sec": 1})

    ran = project.process("-p", "jumping", f"--specbench-sandbox={sandbox}")

    assert ran.judged("good") == ("provisional", "verified")
    assert ran.verdict("slow") == ("regression", "agent_timeout", 1)
    assert_clean_end(ran)
    runtime = ran.run("good")["trials"][0]["metrics"]["runtime_ms"]["value"]
    assert 0 < runtime < 60_000
    assert sys.modules.get("jumping") is None, "only the process of the run was struck"
