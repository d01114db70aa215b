"""What pytest shows for a scenario that did not pass."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from reporting_samples import blocked, compared, regression, trial

from pytest_specbench.core.records import ArtifactPaths, CheckResult, Comparison, Fingerprint
from pytest_specbench.core.status import Cause, Outcome, Status
from pytest_specbench.reporting.failure import TAIL_LINES, blocked_text, failure_text, regression_text

ANYTHING = st.text(st.characters(), max_size=30)
REASON = "no file matches specs/*/plan.md"
CHECKS = (
    CheckResult(name="artifact specs/*/spec.md", passed=True),
    CheckResult(
        name="artifact specs/*/plan.md",
        passed=False,
        cause=Cause.ARTIFACT_MISSING,
        problems=("nothing matches", "spec.md is there, plan.md is not"),
        files=("specs/001/spec.md",),
    ),
)
FAILED = trial(2, outcome=Outcome.FAILURE, cause=Cause.ARTIFACT_MISSING, reason=REASON, checks=CHECKS)


def test_a_functional_failure_shows_the_checks_the_output_the_artifacts_and_what_to_do_next() -> None:
    fingerprint = Fingerprint(instrument={}, subject={"agent.version": "1.1"}, host={})
    bad = regression(trials=(trial(1), FAILED), fingerprint=fingerprint)
    assert (
        regression_text(bad, "/out/runs/1", tail="verifying\nno plan\n")
        == """\
plan (Scenario plan): failed, artifact missing
  no file matches specs/*/plan.md

trial 2: artifact missing
  failed: artifact specs/*/plan.md
    - nothing matches
    - spec.md is there, plan.md is not
    looked at: specs/001/spec.md

end of post-test.txt:
  | verifying
  | no plan

under test:
  agent.version: 1.1

artifacts:
  folder        /out/runs/1/plan
  run metadata  /out/runs/1/plan/trial-01/run_metadata.json
  agent cast    /out/runs/1/plan/trial-01/agent.cast
  post test     /out/runs/1/plan/trial-01/post-test.txt

next: specbench run --scenarios plan --dataset spec-kit==1"""
    )


def test_a_metric_regression_shows_baseline_measured_delta_threshold_and_what_changed() -> None:
    slow = compared(
        status=Status.REGRESSION,
        cause=Cause.METRIC_REGRESSION,
        notes="runtime_ms is 5.4% over the baseline, 5% is allowed",
        fingerprint=Fingerprint(instrument={}, subject={"agent.version": "1.1", "agent.name": "oracle"}, host={}),
        artifacts=ArtifactPaths(),
    )
    assert (
        regression_text(slow, Path("/out/runs/1"))
        == """\
specify (Scenario specify): regression, metric regression
  runtime_ms is 5.4% over the baseline, 5% is allowed

against baseline specify-2026-11-01:
  metric          baseline  measured  delta  threshold
  runtime_ms      11.7 s    12.3 s    +5.4%  +5%        worse
  peak_memory_mb  523 MB    512 MB    -2.1%  +20%       within
  exit_status     0         0         -      -          within
  success         yes       yes       -      -          within
  runtime_ms: 5.4 % worse, 5 % are allowed

changed under test since the baseline:
  agent.version: 1.0 -> 1.1
  agent.option: True -> -

artifacts:
  folder  /out/runs/1/specify

next: specbench run --scenarios specify --dataset spec-kit==1"""
    )


def test_a_subject_that_did_not_change_is_said_so() -> None:
    same = compared(status=Status.REGRESSION, comparison=Comparison(baseline_id="b"))
    assert "nothing that the fingerprint holds" in regression_text(same, "/out")


def test_blocked_shows_the_command_of_the_notes_before_the_one_to_run_then() -> None:
    assert (
        blocked_text(blocked(), "/out/runs/1")
        == """\
tasks (Scenario tasks): blocked, engine missing
  no Docker engine answers
    next: specbench run --sandbox local

artifacts:
  folder  /out/runs/1/tasks

then: specbench run --scenarios tasks --dataset spec-kit==1"""
    )


def test_blocked_shows_every_attempt_that_the_infrastructure_failed() -> None:
    reasons = ("the container vanished", "the verifier took longer than 5 s")
    causes = (Cause.SANDBOX_FAILED, Cause.VERIFIER_TIMEOUT)
    lost, slow = (
        trial(n, outcome=Outcome.INFRASTRUCTURE, cause=cause, reason=reason, repeated=n == 1)
        for n, cause, reason in zip((1, 2), causes, reasons, strict=True)
    )
    shown = blocked_text(blocked(trials=(lost, slow), cause=Cause.VERIFIER_TIMEOUT), "/out", tail="half an answer")
    assert "\ntrial 1: sandbox failed, repeated: the container vanished\n" in shown
    assert "\ntrial 2: verifier timeout: the verifier took longer than 5 s\n" in shown
    assert "\n  | half an answer\n" in shown


def test_only_the_end_of_a_long_output_is_shown() -> None:
    shown = regression_text(regression(), "/out", tail="\n".join(f"line {n}" for n in range(100)))
    assert shown.count("  | line") == TAIL_LINES
    assert "| line 99" in shown


def test_many_problems_are_cut_and_counted() -> None:
    check = CheckResult(
        name="all", passed=False, cause=Cause.VERIFIER_SAID_NO, problems=tuple(f"p{n}" for n in range(25))
    )
    shown = regression_text(regression(trials=(FAILED.model_copy(update={"checks": (check,)}),)), "/out")
    assert "    - p19\n    - and 5 more, in post-test.txt" in shown


def test_a_command_is_quoted_so_that_it_can_be_pasted() -> None:
    shown = regression_text(regression(dataset_version="my data; rm -rf ~"), "/out")
    assert "--dataset 'my data; rm -rf ~'" in shown


def test_the_output_is_read_from_the_run_folder(tmp_path: Path) -> None:
    path = tmp_path / "plan" / "trial-01" / "post-test.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 100_000 + b"\nlast \xff words\n")
    assert "  | last \ufffd words\n" in failure_text(regression(), tmp_path)


def test_an_output_that_cannot_be_read_hides_nothing_else(tmp_path: Path) -> None:
    assert failure_text(regression(), tmp_path) == regression_text(regression(), tmp_path)
    assert failure_text(blocked(), tmp_path) == blocked_text(blocked(), tmp_path)


@given(ANYTHING, ANYTHING, ANYTHING)
@example("\x1b[2J", "a\x07\nb", "\u202e\udcff")
def test_no_string_of_a_scenario_can_steer_the_terminal(name: str, words: str, tail: str) -> None:
    check = CheckResult(name=name, passed=False, cause=Cause.VERIFIER_SAID_NO, problems=(words,), files=(tail,))
    attempt = trial(outcome=Outcome.FAILURE, cause=Cause.VERIFIER_SAID_NO, reason=words, checks=(check,))
    subject = Fingerprint(instrument={}, subject={name: words}, host={})
    bad = compared(name, Status.REGRESSION, notes=words, trials=(attempt,), fingerprint=subject, dataset_version=tail)
    lost = blocked(name, notes=words, trials=(attempt.model_copy(update={"outcome": Outcome.INFRASTRUCTURE}),))
    for shown in (regression_text(bad, "/out", tail=tail), blocked_text(lost, "/out", tail=tail)):
        assert all(line.isprintable() for line in shown.split("\n"))
