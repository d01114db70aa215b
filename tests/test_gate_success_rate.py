"""Scenarios that pass by the share of their trials that succeed."""

from __future__ import annotations

from typing import Any

import pytest
from core_samples import baseline, summary, trial
from scenario_files import Project

from pytest_specbench.core.comparison import ComparisonRules, compare
from pytest_specbench.core.criterion import Criterion
from pytest_specbench.core.metrics import METRICS, summarise
from pytest_specbench.core.records import TrialRecord
from pytest_specbench.core.status import Cause, Outcome, Status
from pytest_specbench.core.verdict import Verdict, judge
from pytest_specbench.gate.judgement import summaries


def failed(index: int) -> TrialRecord:
    return trial(index, Outcome.FAILURE, Cause.VERIFIER_SAID_NO)


def broken(index: int) -> TrialRecord:
    return trial(index, Outcome.INFRASTRUCTURE, Cause.SANDBOX_FAILED)


def judged(*trials: TrialRecord, rate: float = 0.8, of: int = 5) -> Verdict:
    metrics = {name: summarise(name, (each.metrics[name] for each in trials)) for name in METRICS}
    return judge(trials, metrics, ("success",), criterion=Criterion(rate, of))


class TestVerdict:
    def test_as_many_failures_as_the_rate_allows_are_no_regression(self) -> None:
        verdict = judged(trial(1), failed(2), trial(3), trial(4), trial(5))

        assert (verdict.status, verdict.exit_code) == (Status.PROVISIONAL, 0)
        assert "4 of 5 trials succeeded" in verdict.notes

    def test_one_more_is(self) -> None:
        verdict = judged(trial(1), failed(2), trial(3), failed(4), trial(5))

        assert (verdict.status, verdict.cause) == (Status.REGRESSION, Cause.VERIFIER_SAID_NO)
        assert "2 of 5 trials failed" in verdict.notes

    def test_what_broke_is_no_failure_and_blocks(self) -> None:
        assert judged(trial(1), failed(2), broken(3)).status is Status.BLOCKED

    def test_failures_that_nothing_could_make_up_for_win_over_what_broke(self) -> None:
        assert judged(failed(1), failed(2), broken(3)).status is Status.REGRESSION

    def test_fewer_trials_than_there_are_to_be_prove_nothing(self) -> None:
        assert judged(trial(1), trial(2), trial(3), trial(4)).cause is Cause.NO_VERDICT

    @pytest.mark.parametrize(("rate", "allowed"), [(0.7, 3), (0.9, 1), (0.95, 0), (1.0, 0), (0.1, 9), (1e-10, 9)])
    def test_the_rate_is_met_exactly(self, rate: float, allowed: int) -> None:
        criterion = Criterion(rate, 10)

        assert [criterion.failed(failures) for failures in (allowed, allowed + 1)] == [False, True]


class TestMetrics:
    def test_what_failed_trials_cost_is_not_counted(self) -> None:
        slow = failed(2).model_copy(update={"metrics": {**trial(2).metrics, **failed(2).metrics}})
        found = summaries([trial(1), slow, trial(3)], by_rate=True)

        assert len(found["success"].values) == 3
        assert len(found["runtime_ms"].values) == 2

    def test_success_is_judged_by_its_rate_and_not_against_the_baseline(self) -> None:
        approved = baseline(metrics={"success": summary(True, "success")}).metrics
        measured = {"success": summary(False, "success")}

        by_rate = compare(measured, approved, ComparisonRules(("success",), {}, same_host=True, by_rate=True))
        plain = compare(measured, approved, ComparisonRules(("success",), {}, same_host=True))

        assert [item.result for item in by_rate if item.name == "success"] == ["within"]
        assert [item.result for item in plain if item.name == "success"] == ["worse"]


class TestRuns:
    def scenario(self, project: Project, **success: Any) -> None:
        """The second of its trials fails: the local sandbox lets it count."""
        count = project.path / "count"
        command = f"echo x >> {count}; echo hello > result.txt; test $(wc -l < {count}) -ne 2 || rm result.txt"
        project.scenario(
            agent={"name": "command", "options": {"command": command}},
            success=success,
            metrics_tracked=["success"],
        )

    def test_one_failure_among_four_passes_where_three_are_enough(self, project: Project) -> None:
        self.scenario(project, min_rate=0.75, trials=4)

        ran = project.run()

        assert ran.code == 0
        assert [one["outcome"] for one in ran.run()["trials"]] == ["success", "failure", "success", "success"]
        assert "3 of 4 trials succeeded" in ran.run()["notes"]

    def test_and_fails_where_they_are_not(self, project: Project) -> None:
        self.scenario(project, min_rate=0.8, trials=4)

        assert project.run().judged() == ("regression", "artifact_missing")

    def test_fewer_trials_than_the_criterion_names_are_refused(self, project: Project) -> None:
        self.scenario(project, min_rate=0.75, trials=4)

        ran = project.run("--specbench-trials=2")

        assert ran.judged() == ("blocked", "configuration")
        assert "success.trials" in ran.run()["notes"]

    def test_trials_cannot_be_given_twice(self, project: Project) -> None:
        project.scenario(success={"min_rate": 0.75, "trials": 4}, trials=4)

        ran = project.run()

        assert ran.code == 2
        assert "trials is given twice" in ran.out
