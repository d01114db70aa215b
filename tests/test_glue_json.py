"""`--specbench-format=json`: stdout holds the report and nothing else, whatever runs beside it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from scenario_files import Project, counted

from pytest_specbench.reporting.schemas import shipped_schema

JSON = "--specbench-format=json"

NOISY = """
import sys, warnings

print("said while it was collected")

def test_good():
    print("said by a test")
    print("said on stderr", file=sys.stderr)
    warnings.warn("a warning")

def test_bad():
    print("said by a failing test")
    assert False
"""


def parsed(text: str) -> dict[str, Any]:
    """The report, which has to be all that there is, and valid."""
    report: dict[str, Any] = json.loads(text)
    jsonschema.validate(report, shipped_schema("report.schema.json"), format_checker=jsonschema.FormatChecker())
    return report


class TestStdoutHoldsTheReportOnly:
    @pytest.mark.parametrize(
        "arguments", [[], ["-v"], ["-q"], ["-rA"], ["-n2", "-v"], ["-p", "no:terminal"]], ids=" ".join
    )
    def test_it_is_that_of_the_run_folder(self, project: Project, arguments: list[str]) -> None:
        project.scenario()
        project.scenario("bad", agent={"name": "nop"})
        project.file("test_noise.py", NOISY)

        ran = project.process(JSON, *arguments)

        report = parsed(ran.out)
        assert report == ran.report
        assert ran.code == report["exit_code"] == 1
        assert report["exit_reason"] == "1 failed: bad (artifact missing); 1 other test failed"

    def test_what_pytest_prints_is_on_stderr(self, project: Project) -> None:
        project.scenario("bad", agent={"name": "nop"})

        ran = project.process(JSON)

        assert pytest.__version__ in ran.err  # in the header of the session
        assert "bad (The scenario bad): failed, artifact missing" in ran.err
        assert counted(ran.err) == {"failed": 1}
        assert ran.err.splitlines()[-1].startswith("specbench: exit 1: ")

    def test_asked_for_in_the_ini_file_with_workers(self, project: Project) -> None:
        project.more_ini(format="json")
        project.scenario()

        assert parsed(project.process("-n2").out)["exit_code"] == 0

    def test_asked_for_in_the_ini_file(self, project: Project) -> None:
        project.more_ini(format="json")
        project.scenario()

        assert parsed(project.process().out)["exit_code"] == 0

    def test_a_block(self, project: Project) -> None:
        project.scenario(agent={"name": "unheard-of"})

        report = parsed(project.process(JSON).out)

        assert report["scenarios"][0]["status"] == "blocked"
        assert report["summary"]["blocked"] == 1

    def test_files_that_cannot_be_collected(self, project: Project) -> None:
        project.scenario(trials=0)

        ran = project.process(JSON)

        report = parsed(ran.out)
        assert ran.code == report["exit_code"] == 2
        assert "demo.scenario.yaml" in report["collection_problems"][0]
        assert report["scenarios"] == []

    def test_several_trials_and_a_timeout(self, project: Project) -> None:
        project.scenario(trials=2)
        project.scenario(
            "slow",
            agent={"name": "command", "options": {"command": "sleep 600"}},
            deadlines={"agent_sec": 0.2},
        )

        report = parsed(project.process(JSON).out)

        assert [row["cause"] for row in report["scenarios"]] == ["verified", "agent_timeout"]

    def test_with_s_what_tests_print_themselves_is_theirs(self, project: Project) -> None:
        project.scenario()

        assert parsed(project.process(JSON, "-s").out)["exit_code"] == 0


class TestTable:
    def test_stdout_holds_the_table_and_the_last_line_says_why(self, project: Project) -> None:
        project.scenario()
        project.scenario("bad", agent={"name": "nop"})

        ran = project.run("--specbench-format=table")

        assert "2 scenarios: 1 failed, 1 provisional" in ran.out
        assert "specbench: exit 1: 1 failed: bad (artifact missing)" in ran.out
        assert f"artifacts: .terminalbench/runs/{ran.folder.name}" in ran.out

    def test_the_schema_that_ships_holds_for_report_json(self, project: Project) -> None:
        project.scenario()

        jsonschema.validate(project.run().report, shipped_schema("report.schema.json"))
