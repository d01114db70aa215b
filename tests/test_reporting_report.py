"""The report: the contract's JSON, complete, ordered, and never greener than its scenarios."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from reporting_samples import NOW, RUN_ID, blocked, compared, info, regression, report, run, trial

from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause, Outcome, Status
from pytest_specbench.reporting.report import Report, RunInfo, SettingsExcerpt, make_report, report_json
from pytest_specbench.reporting.schemas import SCHEMAS, make_schema, report_schema, shipped_schema, write_schemas
from pytest_specbench.reporting.verdict import code_of, exit_of, session_exit

_NUMBER = {"type": ["number", "null"]}
_PATH = {"type": ["string", "null"]}
CONTRACT = {
    "type": "object",
    "required": ["run_id", "generated_at", "scenarios", "summary"],
    "properties": {
        "run_id": {"type": "string", "format": "uuid"},
        "generated_at": {"type": "string", "format": "date-time"},
        "scenarios": {
            "type": "array",
            "items": {
                "type": "object",
                "required": [
                    "scenario_id",
                    "status",
                    "runtime_ms",
                    "runtime_delta_percent",
                    "peak_memory_mb",
                    "memory_delta_percent",
                    "baseline_id",
                    "artifacts",
                    "notes",
                ],
                "properties": {
                    "scenario_id": {"type": "string"},
                    "status": {"enum": ["pass", "regression", "blocked", "provisional"]},
                    "runtime_ms": _NUMBER,
                    "runtime_delta_percent": _NUMBER,
                    "peak_memory_mb": _NUMBER,
                    "memory_delta_percent": _NUMBER,
                    "baseline_id": {"type": ["string", "null"]},
                    "artifacts": {
                        "type": "object",
                        "required": ["run_metadata", "agent_cast", "post_test"],
                        "properties": {"run_metadata": _PATH, "agent_cast": _PATH, "post_test": _PATH},
                    },
                    "notes": {"type": "string"},
                },
            },
        },
        "summary": {
            "type": "object",
            "required": ["regressions", "blocked", "provisional"],
            "properties": {name: {"type": "integer"} for name in ("regressions", "blocked", "provisional")},
        },
    },
}
"""Written from the contract of the command line, by hand, apart from the models."""

RUNS = (compared(), regression(), blocked(), run("pipeline", Status.PROVISIONAL))


def plain(*runs: BenchmarkRun, **changes: Any) -> dict[str, Any]:
    """The report as somebody else reads it: JSON text, parsed."""
    data: dict[str, Any] = json.loads(json.dumps(report_json(report(*runs, **changes)), allow_nan=False))
    return data


@pytest.mark.parametrize("runs", [(), RUNS, (blocked(),)], ids=["none", "each status", "blocked"])
@pytest.mark.parametrize("schema", [CONTRACT, shipped_schema("report.schema.json")], ids=["contract", "shipped"])
def test_a_report_is_valid_for_the_contract_and_for_its_own_schema(
    runs: tuple[BenchmarkRun, ...], schema: dict[str, Any]
) -> None:
    jsonschema.validate(plain(*runs, missing=("lost",)), schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_that_ship_are_those_of_the_models(name: str) -> None:
    """When this fails: call `pytest_specbench.reporting.schemas.write_schemas` with the folder `reporting/schema`."""
    assert shipped_schema(name) == make_schema(name)
    jsonschema.Draft202012Validator.check_schema(make_schema(name))


def test_a_developer_writes_every_schema_with_one_call(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(SCHEMAS)
    assert json.loads((tmp_path / "report.schema.json").read_text()) == report_schema()


def test_every_field_in_the_schema_is_described() -> None:
    schema = report_schema()
    records = [schema, *(part for part in schema["$defs"].values() if "properties" in part)]
    bare = [
        f"{part['title']}.{name}"
        for part in records
        for name, value in part["properties"].items()
        if "description" not in value
    ]
    assert bare == []


def test_a_benchmark_run_is_valid_for_the_schema_that_ships() -> None:
    for each in RUNS:
        jsonschema.validate(json.loads(each.model_dump_json()), shipped_schema("benchmark_run.schema.json"))


def test_a_report_reads_back_as_it_was_written() -> None:
    made = report(*RUNS, missing=("lost",), collection_problems=("bad.scenario.yaml:1: nope",))
    assert Report.model_validate_json(made.model_dump_json()) == made


def test_a_report_refuses_a_key_that_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="surprise"):
        Report.model_validate({**plain(), "surprise": 1})


def test_a_report_wants_a_time_with_its_offset() -> None:
    with pytest.raises(ValidationError, match="generated_at"):
        report(generated_at=NOW.replace(tzinfo=None))


def test_scenarios_keep_their_order_and_what_they_measured() -> None:
    data = plain(*RUNS)
    assert [scenario["scenario_id"] for scenario in data["scenarios"]] == ["specify", "plan", "tasks", "pipeline"]
    first = data["scenarios"][0]
    assert {name: first[name] for name in CONTRACT["properties"]["scenarios"]["items"]["required"]} == {  # type: ignore[index]
        "scenario_id": "specify",
        "status": "pass",
        "runtime_ms": 12_345.0,
        "runtime_delta_percent": 5.44,
        "peak_memory_mb": 512.0,
        "memory_delta_percent": -2.1,
        "baseline_id": "specify-2026-11-01",
        "artifacts": {
            "run_metadata": "specify/trial-01/run_metadata.json",
            "agent_cast": "specify/trial-01/agent.cast",
            "post_test": "specify/trial-01/post-test.txt",
            "trajectory": None,
            "summary": None,
        },
        "notes": "",
    }
    assert data["summary"] == {"regressions": 1, "blocked": 1, "provisional": 1, "passed": 1, "total": 4}


def test_what_was_not_measured_is_null_with_its_reason_and_never_zero() -> None:
    scenario = plain(run(values={"peak_memory_mb": None}))["scenarios"][0]
    assert scenario["peak_memory_mb"] is None
    assert scenario["metrics"]["peak_memory_mb"]["reason"] == "trial 1: not measured"


def test_a_repeated_attempt_is_told_and_not_counted() -> None:
    lost = trial(1, outcome=Outcome.INFRASTRUCTURE, cause=Cause.SANDBOX_FAILED, repeated=True)
    scenario = report(run(trials=(lost, trial(2), trial(3)))).scenarios[0]
    assert (scenario.trials, scenario.trials_repeated) == (2, 1)


def test_the_settings_that_shape_the_result_are_in_the_report() -> None:
    settings = Settings(
        root=Path("/p"),
        work_tree=Path("/p"),
        agent="oracle",
        sandbox="local",
        sandbox_reason="no engine",
        allow_dirty=True,
    )
    excerpt = SettingsExcerpt.of(settings)
    assert (excerpt.agent, excerpt.sandbox, excerpt.sandbox_reason) == ("oracle", "local", "no engine")
    assert (excerpt.allow_dirty, excerpt.approval_mode, excerpt.policy) == (True, "minimal", "threshold")


@pytest.mark.parametrize(
    ("folder", "shown"), [("/p/.terminalbench/runs/x", ".terminalbench/runs/x"), ("/elsewhere/x", "/elsewhere/x")]
)
def test_the_run_folder_is_relative_to_the_root_where_it_lies_inside(folder: str, shown: str) -> None:
    settings = Settings(root=Path("/p"), work_tree=Path("/p"), run_folder=Path(folder), dataset="d==1")
    made = RunInfo.of(settings, run_id=RUN_ID, generated_at=NOW, missing=("a",), interrupted=True)
    assert (made.run_folder, made.dataset, made.missing, made.interrupted) == (shown, "d==1", ("a",), True)


class TestExit:
    """Exit code and reason of the scenarios of a run."""

    @pytest.mark.parametrize(
        ("runs", "missing", "expected"),
        [
            ([compared()], [], (0, "1 passed")),
            (
                [compared(), run("new", Status.PROVISIONAL)],
                [],
                (0, "1 passed, 1 provisional (no baseline to compare with yet)"),
            ),
            (
                [compared(status=Status.REGRESSION, cause=Cause.METRIC_REGRESSION)],
                [],
                (1, "1 regression: specify (metric regression)"),
            ),
            ([regression()], [], (1, "1 failed: plan (artifact missing)")),
            ([blocked()], [], (2, "1 blocked: tasks (engine missing)")),
            (
                [blocked(), regression()],
                [],
                (1, "1 failed: plan (artifact missing); 1 blocked: tasks (engine missing)"),
            ),
            ([compared()], ["plan"], (2, "1 started and gave no verdict: plan")),
            ([], ["plan"], (2, "1 started and gave no verdict: plan")),
            (
                [regression()],
                ["tasks"],
                (1, "1 failed: plan (artifact missing); 1 started and gave no verdict: tasks"),
            ),
            (
                [run("known", Status.PROVISIONAL, cause=Cause.APPROVAL_NEEDED, exit_code=2)],
                [],
                (2, "1 not accepted: known (approval needed)"),
            ),
        ],
    )
    def test_by_what_there_is(self, runs: list[BenchmarkRun], missing: list[str], expected: tuple[int, str]) -> None:
        assert exit_of(runs, missing, False) == expected

    def test_without_any_scenario_the_exit_code_is_not_ours(self) -> None:
        assert exit_of([], [], False) is None
        assert exit_of([], [], True) is None

    def test_an_interruption_is_never_masked_not_even_by_a_regression(self) -> None:
        assert exit_of([regression()], [], True) == (
            2,
            "interrupted before every scenario had its verdict; 1 failed: plan (artifact missing)",
        )

    def test_an_ordinary_test_that_failed_beside_a_blocked_scenario_makes_1(self) -> None:
        assert exit_of([blocked()], [], False, other_failures=2) == (
            1,
            "2 other tests failed; 1 blocked: tasks (engine missing)",
        )

    def test_many_names_are_cut_short(self) -> None:
        code, reason = exit_of([regression(f"s{n}") for n in range(5)], [], False) or (0, "")
        assert (code, reason.count("artifact missing")) == (1, 3)
        assert reason.startswith("5 failed: s0 (artifact missing)")
        assert reason.endswith(", and 2 more")

    @pytest.mark.parametrize(
        ("status", "claimed", "code"),
        [
            (Status.REGRESSION, 0, 1),
            (Status.BLOCKED, 0, 2),
            (Status.PASS, 7, 2),
            (Status.PASS, 1, 1),
            (Status.PASS, 0, 0),
        ],
    )
    def test_an_exit_code_that_is_softer_than_the_status_is_not_believed(
        self, status: Status, claimed: int, code: int
    ) -> None:
        assert code_of(run(status=status, exit_code=claimed)) == code

    @given(
        statuses=st.lists(st.sampled_from(Status), max_size=6),
        missing=st.lists(st.text(max_size=5), max_size=2),
        interrupted=st.booleans(),
        others=st.integers(0, 2),
    )
    def test_zero_only_when_everything_is_well(
        self, statuses: list[Status], missing: list[str], interrupted: bool, others: int
    ) -> None:
        ours = exit_of([run(status=status) for status in statuses], missing, interrupted, other_failures=others)
        bad = {Status.REGRESSION, Status.BLOCKED} & set(statuses) or missing or interrupted or others
        if ours is not None:
            assert (ours[0] == 0) == (not bad)
            assert ours[1].isprintable()


class TestSessionExit:
    """The code of the whole session: ours, unless pytest has trouble of its own."""

    @pytest.mark.parametrize(
        ("ours", "status", "problems", "expected"),
        [
            ((0, "well"), 0, 0, (0, "well")),
            ((1, "worse"), 1, 0, (1, "worse")),
            ((2, "blocked"), 1, 0, (2, "blocked")),
            ((0, "well"), 1, 0, (1, "pytest's own: tests failed")),
            ((0, "well"), 1, 1, (1, "1 file could not be collected")),
            ((0, "well"), 0, 2, (2, "2 files could not be collected")),
            ((1, "worse"), 1, 1, (1, "worse; 1 file could not be collected")),
            ((1, "worse"), 3, 0, (3, "pytest's own: internal error; worse")),
            ((0, "well"), 4, 0, (4, "pytest's own: wrong usage; well")),
            ((0, "well"), 9, 0, (9, "pytest's own: status of a plugin; well")),
            (None, 5, 0, (5, "pytest's own: no tests were collected")),
            (None, 2, 1, (2, "1 file could not be collected")),
            (None, 0, 0, (0, "no scenario ran")),
        ],
    )
    def test_by_what_pytest_says(
        self, ours: tuple[int, str] | None, status: int, problems: int, expected: tuple[int, str]
    ) -> None:
        assert session_exit(ours, pytest_status=status, problems=problems) == expected

    def test_the_report_carries_it(self) -> None:
        made = make_report([compared()], info=replace(info(), pytest_status=3, interrupted=False))
        assert (made.exit_code, made.exit_reason) == (3, "pytest's own: internal error; 1 passed")
