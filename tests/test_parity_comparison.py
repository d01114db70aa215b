"""A run against its baseline: what is worse fails, with everything a person needs to see."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from parity_support import STRICT, approve, benchmark_run
from scenario_files import Project, command

TRACKED = ["runtime_ms", "exit_status", "success", "steps"]
"""Without the memory: a command of some milliseconds may be over before it can be looked at."""

ALLOWED = {"steps": 10}
"""Steps have no threshold of their own."""

HUNGRY = "python3 -c 'held = bytes(range(256)) * 400_000; import time; time.sleep(0.3)'; echo made > result.txt"
"""Holds 100 MB long enough for the sampler to see it."""

STEPS = """
from pytest_specbench.agents.base import AgentOutcome

class Walker:
    name = "walker"
    version = "1"
    acts_freely = True
    trusted = True
    def __init__(self, steps=3): self.steps = steps
    def prepare(self, task): pass
    def configuration(self): return {"steps": self.steps}
    def run(self, task, shell, journal):
        for number in range(self.steps):
            shell.run(f"echo {number} > result.txt")
        return AgentOutcome()
"""


def row(text: str, name: str) -> list[str]:
    """The cells of a metric's row in the failure text."""
    line = next(line for line in text.splitlines() if line.strip().startswith(f"{name} "))
    return re.split(r"\s{2,}", line.strip())


def test_within_the_thresholds_it_passes(either: Project) -> None:
    either.scenario(metrics_tracked=TRACKED, thresholds=ALLOWED)
    record = approve(either, either.run())

    ran = either.run("-v")

    assert ran.verdict() == ("pass", "verified", 0)
    assert ran.report["exit_reason"] == "1 passed"
    assert ran.report["summary"]["passed"] == 1
    assert ran.scenario()["baseline_id"] == record.baseline_id
    comparison = ran.run()["comparison"]
    assert comparison["same_host"] is True
    assert {item["name"]: item["result"] for item in comparison["metrics"] if item["tracked"]} == dict.fromkeys(
        TRACKED, "within"
    )
    assert "PASS" in ran.out


def test_a_slower_run_is_a_regression(either: Project) -> None:
    either.scenario(metrics_tracked=TRACKED, thresholds=ALLOWED)
    record = approve(either, either.run(), metrics={"runtime_ms": 1e-3})

    ran = either.run()

    assert ran.verdict() == ("regression", "metric_regression", 1)
    assert ran.report["exit_reason"] == "1 regression: demo (metric regression)"
    entry = ran.scenario()
    assert entry["runtime_delta_percent"] > 15
    assert "% worse than the baseline, 15 % are allowed" in entry["notes"]
    assert f"against baseline {record.baseline_id}:" in ran.out


def test_a_run_that_takes_more_memory_is_a_regression(project: Project) -> None:
    project.scenario(agent=command(HUNGRY), metrics_tracked=[*TRACKED, "peak_memory_mb"], thresholds=ALLOWED)
    first = project.run()
    assert first.scenario()["peak_memory_mb"] > 50
    approve(project, first, metrics={"peak_memory_mb": 10.0})

    ran = project.run()

    assert ran.verdict() == ("regression", "metric_regression", 1)
    assert ran.scenario()["memory_delta_percent"] > 20
    assert row(ran.out, "peak_memory_mb")[1] == "10 MB"
    assert row(ran.out, "peak_memory_mb")[4:] == ["+20%", "worse"]


def test_the_text_shows_every_metric_what_changed_and_where_the_artifacts_lie(project: Project) -> None:
    project.scenario(metrics_tracked=TRACKED, thresholds=ALLOWED)
    record = approve(project, project.run(), metrics={"runtime_ms": 1e-3, "steps": 4, "exit_status": 3})
    project.scenario(metrics_tracked=TRACKED, thresholds=ALLOWED, agent=command("echo other > result.txt"))

    ran = project.run()

    text = ran.out.partition("_ scenario demo _")[2].partition("= specbench =")[0]
    assert f"against baseline {record.baseline_id}:" in text
    assert row(text, "metric") == ["metric", "baseline", "measured", "delta", "threshold"]
    for name in TRACKED:
        assert len(row(text, name)) == 6, name
    assert row(text, "runtime_ms")[4:] == ["+15%", "worse"]
    assert row(text, "steps") == ["steps", "4", "1", "-75.0%", "+10%", "within"]
    assert row(text, "exit_status")[1:3] == ["3", "0"]
    assert "exit_status: it was 3 and is 0" in text
    assert "changed under test since the baseline:" in text
    assert "agent.command: echo made > result.txt -> echo other > result.txt" in text
    for path in ("agent.cast", "post-test.txt", "atif/trajectory.json", "run_metadata.json", "summary.json"):
        assert str(ran.trial() / path) in text.replace("latest", ran.folder.name)
        assert (ran.trial() / path).is_file()
    assert "\nnext" in text
    assert "Traceback" not in text


def test_the_record_holds_what_the_text_shows(project: Project) -> None:
    project.scenario(metrics_tracked=TRACKED, thresholds=ALLOWED)
    approve(project, project.run(), metrics=STRICT)
    project.scenario(metrics_tracked=TRACKED, thresholds=ALLOWED, agent=command("echo other > result.txt"))

    run = benchmark_run(project.run())

    assert [change.name for change in run.comparison.subject_changes] == ["agent.command"]
    found = next(item for item in run.comparison.metrics if item.name == "runtime_ms")
    assert (found.baseline, found.threshold_percent, found.tracked, found.result) == (1e-3, 15.0, True, "worse")
    assert found.measured == run.metrics["runtime_ms"].value
    assert found.delta_percent == run.comparison.runtime_percent
    assert run.comparison.lock == "none"


def test_a_threshold_of_the_scenario_replaces_the_usual_one(project: Project) -> None:
    project.scenario(metrics_tracked=["runtime_ms"])
    approve(project, project.run(), metrics=STRICT)
    assert project.run().judged() == ("regression", "metric_regression")
    project.scenario(metrics_tracked=["runtime_ms"], thresholds={"runtime_ms": 1e15})

    ran = project.run()

    assert ran.verdict() == ("pass", "verified", 0)
    assert ran.run()["comparison"]["metrics"][0]["threshold_percent"] == 1e15


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ({"steps": 50}, ("pass", "verified", 0)),
        ({"steps": 49.9}, ("regression", "metric_regression", 1)),
    ],
    ids=["reached", "exceeded"],
)
def test_any_tracked_metric_may_have_a_threshold(
    project: Project, thresholds: dict[str, float], expected: tuple[str, str, int]
) -> None:
    project.module("walkers", STEPS)
    project.scenario(agent={"name": "walkers:Walker"}, metrics_tracked=["steps"], thresholds=thresholds)
    approve(project, project.run(), metrics={"steps": 2})

    ran = project.run()

    assert ran.verdict() == expected
    assert ran.run()["metrics"]["steps"]["value"] == 3


def test_a_metric_that_is_not_tracked_fails_nothing(project: Project) -> None:
    project.scenario(metrics_tracked=["success"])
    approve(project, project.run(), metrics=STRICT)

    ran = project.run()

    assert ran.verdict() == ("pass", "verified", 0)
    found = ran.run()["comparison"]["metrics"][0]
    assert (found["name"], found["result"], found["tracked"]) == ("runtime_ms", "worse", False)


def test_another_exit_status_is_a_regression_whatever_the_threshold(project: Project) -> None:
    project.scenario(metrics_tracked=["exit_status"], thresholds={"exit_status": 1000})
    approve(project, project.run(), metrics={"exit_status": 3})

    ran = project.run()

    assert ran.verdict() == ("regression", "metric_regression", 1)
    assert ran.scenario()["notes"] == "exit_status: it was 3 and is 0"


def test_a_functional_failure_is_told_with_its_comparison(project: Project) -> None:
    project.scenario(metrics_tracked=TRACKED, thresholds=ALLOWED)
    record = approve(project, project.run())
    project.scenario(metrics_tracked=TRACKED, thresholds=ALLOWED, agent=command("true"))

    ran = project.run()

    assert ran.verdict() == ("regression", "artifact_missing", 1)
    assert f"against baseline {record.baseline_id}:" in ran.out
    assert row(ran.out, "success")[1:3] == ["yes", "no"]
    assert "agent.command: echo made > result.txt -> true" in ran.out


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("tracked", [["success", "steps"], ["steps"]])
def test_a_tracked_metric_that_the_baseline_lacks_is_no_pass(
    project: Project, tracked: list[str], *, portable: bool
) -> None:
    project.scenario(metrics_tracked=tracked, thresholds={"steps": 10})
    record = approve(project, project.run(), lacking=["steps"], portable=portable)

    ran = project.run(*(["--specbench-host-parity=portable"] if portable else []))

    assert ran.verdict() == ("blocked", "baseline_invalid", 2)
    notes = ran.scenario()["notes"]
    assert "the tracked metric steps was not compared: the baseline does not hold it" in notes
    assert record.baseline_id in notes


def test_the_median_of_the_trials_is_compared(project: Project) -> None:
    project.module("walkers", STEPS)
    project.scenario(agent={"name": "walkers:Walker"}, metrics_tracked=["steps"], thresholds={"steps": 10}, trials=3)
    approve(project, project.run(), metrics={"steps": 3})

    ran = project.run()

    assert ran.verdict() == ("pass", "verified", 0)
    assert ran.run()["metrics"]["steps"]["values"] == [3, 3, 3]


def test_the_folder_of_the_baselines_is_an_option(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.scenario()
    approve(project, project.run())
    (project.path / "baselines").rename(project.path / "approved")
    assert project.run().judged() == ("provisional", "verified")

    assert project.run("--specbench-baselines=approved").judged() == ("pass", "verified")
    monkeypatch.setenv("SPECBENCH_BASELINES", str(project.path / "approved"))
    assert project.run().judged() == ("pass", "verified")


def test_a_run_changes_no_baseline(project: Project) -> None:
    project.scenario()
    approve(project, project.run())
    before = {path: path.read_bytes() for path in (project.path / "baselines").rglob("*.json")}

    project.run()

    assert {path: path.read_bytes() for path in (project.path / "baselines").rglob("*") if path.is_file()} == before


def test_the_report_stays_within_its_schema(project: Project) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from pytest_specbench.reporting import schemas

    project.scenario(metrics_tracked=TRACKED, thresholds=ALLOWED)
    approve(project, project.run(), metrics=STRICT)
    ran = project.run()

    folder = Path(schemas.__file__).parent / "schema"
    for name, content in (("report", ran.report), ("benchmark_run", ran.run())):
        jsonschema.validate(content, json.loads((folder / f"{name}.schema.json").read_text()))
