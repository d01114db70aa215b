"""The table: readable at any width, in any encoding, with and without colour, whatever the strings in it hold."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reporting_samples import blocked, compared, regression, report, run, trial

from pytest_specbench.core.records import Comparison
from pytest_specbench.core.status import Cause, Outcome, Status
from pytest_specbench.reporting.table import MARKS, render_table
from pytest_specbench.reporting.text import cell_width

REASON = "every check passed; there is no approved baseline to compare with"
PROVISIONAL = run("pipeline", Status.PROVISIONAL, notes=REASON)
SGR = re.compile(r"\x1b\[[0-9]*m")
ANYTHING = st.text(st.characters(), max_size=30)


def text(*lines: str) -> str:
    return "\n".join(lines)


def test_a_run_with_every_status_on_80_columns() -> None:
    made = report(compared(), regression(), blocked(), PROVISIONAL, run_folder="runs/1")
    assert (
        text(*render_table(made, width=80))
        == """\
  scenario  status       trials  runtime         peak memory     steps
✓ specify   pass         1       12.3 s (+5.4%)  512 MB (-2.1%)  12
    changed under test: agent.version: 1.0 -> 1.1
    changed under test: agent.option: True -> -
✗ plan      failed       1       12.3 s          512 MB          12
    artifact missing:
      no file matches specs/*/plan.md
    artifacts: runs/1/plan
■ tasks     blocked      0       -               -               -
    engine missing:
      no Docker engine answers
        next: specbench run --sandbox local
    artifacts: runs/1/tasks
○ pipeline  provisional  1       12.3 s          512 MB          12
    every check passed; there is no approved baseline to compare with

4 scenarios: 1 passed, 1 failed, 1 blocked, 1 provisional
artifacts: runs/1
specbench: exit 1: 1 failed: plan (artifact missing); 1 blocked: tasks (engine missing)"""
    )


def test_columns_that_do_not_fit_move_below_their_scenario() -> None:
    made = report(run(values={"input_tokens": 12_345, "output_tokens": 340, "cost_usd": 0.0123}), run_folder="runs/1")
    assert (
        text(*render_table(made, width=40))
        == """\
  scenario  status  trials  runtime
✓ specify   pass    1       12.3 s
    peak memory 512 MB, steps 12, tokens
    12.3k in, 340 out, cost $0.0123

1 scenario: 1 passed
artifacts: runs/1
specbench: exit 0: 1 passed"""
    )
    assert render_table(made, width=100)[:2] == [
        "  scenario  status  trials  runtime  peak memory  steps  tokens             cost",
        "✓ specify   pass    1       12.3 s   512 MB       12     12.3k in, 340 out  $0.0123",
    ]


def test_tokens_and_cost_have_no_column_where_nobody_knows_them() -> None:
    assert "tokens" not in render_table(report(run()), width=200)[0]


def test_a_tracked_metric_that_is_unknown_has_a_footnote_and_the_same_reason_has_one() -> None:
    unknown = {"peak_memory_mb": None, "cpu_ms": None}
    tracked = ("runtime_ms", "peak_memory_mb", "cpu_ms")
    runs = [run(name, values=unknown, metrics_tracked=tracked) for name in ("a", "b")]
    lines = render_table(report(*runs), width=80)
    assert [line.split() for line in lines[1:3]] == [
        ["✓", name, "pass", "1", "12.3", "s", "-[1]", "12"] for name in ("a", "b")
    ]
    assert lines[3:5] == ["[1] peak_memory_mb: trial 1: not measured", "[2] cpu_ms: trial 1: not measured"]


def test_an_untracked_metric_that_is_unknown_is_a_dash_alone() -> None:
    lines = render_table(report(run(values={"steps": None})), width=80)
    assert lines[1].endswith("  -")
    assert not any("[1]" in line for line in lines)


def test_a_pass_that_has_something_to_say_says_it() -> None:
    lines = render_table(report(run(notes="runtime was not compared: another host class")), width=80)
    assert lines[2] == "    runtime was not compared: another host class"


def test_repeated_attempts_missing_verdicts_and_collection_problems_are_told() -> None:
    lost = trial(1, outcome=Outcome.INFRASTRUCTURE, cause=Cause.SANDBOX_FAILED, repeated=True)
    made = report(
        run(trials=(lost, trial(2))),
        missing=("plan",),
        collection_problems=("bad.scenario.yaml:3: runner.cpu: unknown key\n  expected: cpus",),
        run_folder="runs/1",
    )
    assert (
        text(*render_table(made, width=80)[2:])
        == """\
    1 failed for infrastructure's sake and repeated
■ plan: started and gave no verdict
not collected:
    bad.scenario.yaml:3: runner.cpu: unknown key
      expected: cpus

2 scenarios: 1 passed, 1 without a verdict
artifacts: runs/1
specbench: exit 2: 1 started and gave no verdict: plan; 1 file could not be collected"""
    )


def test_a_run_without_scenarios_still_says_how_it_ended() -> None:
    assert render_table(report(run_folder="runs/1", pytest_status=5), width=80) == [
        "",
        "0 scenarios",
        "artifacts: runs/1",
        "specbench: exit 5: pytest's own: no tests were collected",
    ]


def test_wide_names_keep_the_columns_in_line() -> None:
    lines = render_table(report(run("\u4ed5\u69d8"), run("plan")), width=80)
    starts = {
        cell_width(line[: line.index(word)]) for line, word in zip(lines, ("status", "pass", "pass"), strict=False)
    }
    assert len(starts) == 1


def test_a_name_that_is_longer_than_its_column_has_its_own_line() -> None:
    name = "a-name-that-is-far-too-long-for-a-column-of-its-own"
    lines = render_table(report(run(name), run("plan")), width=80)
    assert lines[1] == f"✓ {name}"
    assert lines[2].split()[0] == "pass"
    assert lines[0].index("status") == lines[2].index("pass") == lines[3].index("pass")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_that_cannot_hold_the_marks_gets_ascii_ones(encoding: str) -> None:
    lines = render_table(report(compared(), regression("\u4ed5"), blocked(), PROVISIONAL), width=80, encoding=encoding)
    text(*lines).encode(encoding)
    marks = [line[0] for line in lines if line[:1] in {ascii_mark for _, ascii_mark in MARKS.values()}]
    assert marks == ["+", "x", "#", "o"]
    assert any("\\u4ed5" in line for line in lines)


@pytest.mark.parametrize("width", [0, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_lines_fit_at_every_width_and_colour_changes_nothing_else(width: int, color: bool, encoding: str) -> None:
    values = {"input_tokens": 12_345, "output_tokens": 340, "cost_usd": 0.0123, "peak_memory_mb": None}
    runs = (compared(values=values), regression(), blocked(), PROVISIONAL, run("\u4ed5\u69d8", values=values))
    made = report(*runs, run_folder="r", missing=("lost",))
    lines = render_table(made, width=width, color=color, encoding=encoding)
    assert ("\x1b" in text(*lines)) is color
    bare = [SGR.sub("", line) for line in lines]
    assert bare == render_table(made, width=width, encoding=encoding)
    assert max(cell_width(line) for line in bare[:-1]) <= max(width, 40)
    assert all(line == line.rstrip() for line in bare)
    if color:
        assert all(line.count("\x1b") % 2 == 0 for line in lines)


@settings(max_examples=60)
@given(ANYTHING, ANYTHING, ANYTHING, st.integers(0, 120), st.booleans())
@example("\x1b[2J", "note\nspecbench: exit 0: all is well", "\u202e", 80, True)
def test_no_string_of_a_scenario_can_steer_the_terminal_or_forge_the_last_line(
    name: str, notes: str, folder: str, width: int, color: bool
) -> None:
    bad = regression(name, notes=notes, artifacts_path=folder, comparison=Comparison(baseline_id=notes))
    made = report(bad, missing=(name,), collection_problems=(notes,), run_folder=folder)
    lines = render_table(made, width=width, color=color)
    assert all((SGR.sub("", line) if color else line).isprintable() for line in lines)
    assert [line for line in lines if line.startswith("specbench: ")] == [lines[-1]]
    assert lines[-1].startswith("specbench: exit 1: ")
