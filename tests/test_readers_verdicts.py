"""Whoever reads pytest's results reads the same verdict: the terminal, the report, the exit code, and every format."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parity_support import approve, git
from scenario_files import Project, Ran, command, counted

STATUSES = {"good": "pass", "fresh": "provisional", "bad": "regression", "stuck": "blocked"}
REASON = "1 failed: bad (artifact missing); 1 blocked: stuck (configuration)"


def every_status(project: Project) -> None:
    """A scenario of every status, and an approved baseline for the good one."""
    project.scenario("good")
    approve(project, project._ran(project.pytester.runpytest_inprocess("-p", "no:cacheprovider")), "good")
    project.scenario("fresh")
    project.scenario("bad", agent={"name": "nop"})
    project.scenario("stuck", agent={"name": "unheard-of"})


def last_line(text: str) -> str:
    """The last line of the table."""
    return [line for line in text.splitlines() if line.startswith("specbench: exit ")][-1]


def agreed(ran: Ran, code: int, reason: str) -> None:
    """Exit code and reason are the same for everyone."""
    assert ran.code == code
    assert (ran.report["exit_code"], ran.report["exit_reason"]) == (code, reason)
    assert last_line(ran.out) == f"specbench: exit {code}: {reason}"
    summary = json.loads((ran.folder / "summary.json").read_text())
    assert (summary["exit_code"], summary["exit_reason"]) == (code, reason)


class TestTerminal:
    def test_letters(self, either: Project) -> None:
        every_status(either)

        ran = either.run()

        letters = {".", "F", "B", "p"}
        shown = "".join(re.findall(r"(?m)^(?:\S+\.scenario\.yaml )?([.FBp]+)(?: +\[ *\d+%\])?$", ran.out))
        assert set(shown) == letters
        assert len(shown) == len(letters)
        agreed(ran, 1, REASON)

    def test_words(self, project: Project) -> None:
        every_status(project)

        ran = project.run("-v")

        words = {"good": "PASS", "fresh": "PROVISIONAL", "bad": "FAILED", "stuck": "BLOCKED"}
        for name, word in words.items():
            lines = [line for line in ran.out.splitlines() if f"{name}.scenario.yaml::{name}" in line]
            assert any(re.search(rf"\b{word}\b", line) for line in lines), (name, lines)
        agreed(ran, 1, REASON)

    def test_counts(self, project: Project) -> None:
        every_status(project)

        ran = project.run()

        assert counted(ran.out) == {"failed": 1, "passed": 1, "errors": 1, "provisional": 1}
        for name, status in STATUSES.items():
            assert ran.scenario(name)["status"] == status

    def test_colours(self, project: Project) -> None:
        every_status(project)

        ran = project.run("-v", "--color=yes")

        red, green, yellow = "\x1b[31m", "\x1b[32m", "\x1b[33m"
        assert f"{green}PASS\x1b[0m" in ran.out
        assert f"{yellow}PROVISIONAL\x1b[0m" in ran.out
        assert f"{red}FAILED\x1b[0m" in ran.out
        assert f"{red}BLOCKED\x1b[0m" in ran.out

    def test_no_colours_where_none_are_wanted(self, project: Project) -> None:
        every_status(project)

        assert "\x1b" not in project.run("-v", "--color=no").out

    def test_the_short_summary_names_each_that_is_not_green(self, project: Project) -> None:
        every_status(project)

        ran = project.run("-ra")

        assert "FAILED bad.scenario.yaml::bad" in ran.out
        assert "BLOCKED stuck.scenario.yaml::stuck" in ran.out


def approved(project: Project) -> None:
    project.scenario()
    approve(project, project.run())


def owed(project: Project) -> None:
    approved(project)
    project.scenario(runner={"cpus": 2.0})


def beside(project: Project, body: str) -> None:
    project.scenario()
    project.file("test_plain.py", f"def test_one(): {body}\n")


REASONS: dict[str, tuple[Callable[[Project], Any], int, str]] = {
    "all passed": (approved, 0, "1 passed"),
    "provisional": (lambda project: project.scenario(), 0, "1 provisional (no baseline to compare with yet)"),
    "a regression": (
        lambda project: project.scenario(agent={"name": "nop"}), 1, "1 failed: demo (artifact missing)"
    ),
    "blocked": (lambda project: project.scenario(agent={"name": "x-y"}), 2, "1 blocked: demo (configuration)"),
    "an approval is owed": (owed, 2, "1 not accepted: demo (approval needed)"),
    "another test failed": (lambda project: beside(project, "assert False"), 1, "1 other test failed"),
}  # fmt: skip


class TestExitCode:
    @pytest.mark.parametrize(("make", "code", "reason"), REASONS.values(), ids=REASONS)
    def test_it_is_the_same_for_everyone(
        self, project: Project, make: Callable[[Project], Any], code: int, reason: str
    ) -> None:
        make(project)

        agreed(project.run(), code, reason)
        agreed(project.run("-p", "no:cacheprovider"), code, reason)

    def test_in_a_process_of_its_own_and_with_workers_asked_for_zero(self, project: Project) -> None:
        every_status(project)

        agreed(project.process("-n0"), 1, REASON)

    def test_x_tells_what_ran(self, project: Project) -> None:
        project.scenario("a-stuck", agent={"name": "unheard-of"})
        project.scenario("b-bad", agent={"name": "nop"})

        ran = project.run("-x")

        agreed(ran, 2, "1 blocked: a-stuck (configuration)")
        assert [row["scenario_id"] for row in ran.report["scenarios"]] == ["a-stuck"]

    def test_x_with_workers(self, project: Project) -> None:
        for number in range(8):
            project.scenario(f"bad-{number}", agent={"name": "nop"})

        ran = project.process("-n2", "-x")

        assert ran.code == 1
        assert 1 <= ran.report["summary"]["regressions"] <= 8
        assert ran.report["missing_verdicts"] == []
        agreed(ran, 1, ran.report["exit_reason"])

    def test_lf_and_k(self, project: Project) -> None:
        every_status(project)
        project.run()

        agreed(project.run("--lf"), 1, REASON)
        agreed(project.run("-k", "stuck"), 2, "1 blocked: stuck (configuration)")
        agreed(project.run("-k", "good or fresh"), 0, "1 passed, 1 provisional (no baseline to compare with yet)")

    def test_a_scenario_changes_nothing_for_ordinary_tests(self, either: Project) -> None:
        either.file(
            "test_plain.py",
            """
import pytest, sys
def test_passes(): pass
def test_fails(): assert 1 == 2, "told as ever"
@pytest.mark.skip(reason="not today")
def test_skips(): pass
@pytest.mark.xfail
def test_expected(): assert False
@pytest.fixture
def broken(): raise RuntimeError("no fixture")
def test_errors(broken): pass
def test_prints(capsys): print("out"); assert capsys.readouterr().out == "out\\n"
""",
        )
        alone = either.run()
        either.scenario()

        ran = either.run()

        assert counted(ran.out) == counted(alone.out) | {"provisional": 1}
        assert alone.code == ran.code == 1
        assert ran.out.count("told as ever") == alone.out.count("told as ever") > 0
        assert ran.judged() == ("provisional", "verified")


def cases(path: Path) -> dict[str, ET.Element]:
    """The test cases of a JUnit file by name."""
    return {case.attrib["name"]: case for case in ET.parse(path).getroot().iter("testcase")}


def ran_with_formats(project: Project) -> Ran:
    """A run with a scenario of every status that writes every format."""
    every_status(project)
    return project.run(
        "--junitxml=junit.xml", "--json-report", "--json-report-file=plain.json", "--report-log=log.jsonl"
    )


def check_junit(path: Path) -> None:
    found = cases(path)
    assert set(found) == set(STATUSES)
    children = {name: [child.tag for child in case if child.tag != "properties"] for name, case in found.items()}
    assert children == {"good": [], "fresh": [], "bad": ["failure"], "stuck": ["error"]}
    suite = next(ET.parse(path).getroot().iter("testsuite"))
    assert [suite.attrib[name] for name in ("tests", "failures", "errors")] == ["4", "1", "1"]
    for name, case in found.items():
        values = [(item.attrib["name"], item.attrib["value"]) for item in case.iter("property")]
        assert len(values) == len(dict(values)), "each property once"
        assert dict(values)["specbench_status"] == STATUSES[name]
        assert dict(values)["specbench_scenario_id"] == name
        assert all(not re.search(r"[{\[]", value) for _, value in values), "scalars only"
    failure = found["bad"].find("failure")
    assert failure is not None
    assert "No file matches result.txt." in (failure.text or "")


def check_json_report(path: Path, ran: Ran) -> None:
    content = json.loads(path.read_text())
    assert content["exitcode"] == 1
    assert content["specbench"] == ran.report
    outcomes = {test["nodeid"].rpartition("::")[2]: test["outcome"] for test in content["tests"]}
    assert outcomes["good"] == "passed"
    assert outcomes["bad"] == "failed"
    assert outcomes["stuck"] == "error"
    runs = {test["nodeid"].rpartition("::")[2]: test["metadata"]["specbench"] for test in content["tests"]}
    assert {name: run["status"] for name, run in runs.items()} == STATUSES


def check_report_log(path: Path, ran: Ran) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    texts = [line["specbench"] for line in lines if "specbench" in line]
    assert all(isinstance(text, str) for text in texts)
    assert {run["scenario_id"]: run["status"] for run in map(json.loads, texts)} == STATUSES
    for run in map(json.loads, texts):
        assert run == ran.run(run["scenario_id"])
    assert [line["exitstatus"] for line in lines if line["$report_type"] == "SessionFinish"] == [1]


class TestFormats:
    def test_junit_json_report_and_report_log_say_the_same(self, either: Project) -> None:
        ran = ran_with_formats(either)

        check_junit(either.path / "junit.xml")
        check_json_report(either.path / "plain.json", ran)
        check_report_log(either.path / "log.jsonl", ran)
        agreed(ran, 1, REASON)


class TestBesideOtherPlugins:
    def test_an_item_may_last_longer_than_the_timeout_of_tests(self, project: Project) -> None:
        """The mark that the item outlived the timer: an ordinary test beside it is stopped by the same timer."""
        project.scenario(agent=command("sleep 1; echo made > result.txt"))
        project.file("test_plain.py", "import threading\ndef test_hangs(): threading.Event().wait(60)\n")

        ran = project.process("--timeout=0.4")

        assert ran.judged() == ("provisional", "verified")
        assert ran.code == 1
        assert ran.report["exit_reason"] == "1 other test failed"
        assert counted(ran.out) == {"failed": 1, "provisional": 1}

    def test_not_even_by_the_method_that_kills_the_process(self, project: Project) -> None:
        project.scenario(agent=command("sleep 1; echo made > result.txt"))

        ran = project.process("--timeout=0.4", "--timeout-method=thread")

        assert ran.verdict() == ("provisional", "verified", 0)

    def test_a_rerun_that_ends_otherwise_is_the_verdict_and_marked_flaky(self, either: Project) -> None:
        once = either.path.parent / f"{either.path.name}-tried"
        either.scenario(agent=command(f"test -e {once} && echo made > result.txt; touch {once}; true"))

        ran = either.run("--reruns=1")

        assert ran.verdict() == ("provisional", "verified", 0)
        assert ran.report["summary"]["total"] == 1
        assert "attempt before this one: regression, artifact_missing" in ran.scenario()["notes"]
        assert ran.scenario()["flaky"] is True
        assert ran.run()["status"] == "regression"
        assert ran.run("demo/rerun-01")["status"] == "provisional"
        assert ran.scenario()["artifacts_path"] == "demo/rerun-01"
        assert counted(ran.out) == {"provisional": 1, "rerun": 1}
        assert "flaky" in ran.out

    def test_a_rerun_that_fails_again_is_the_verdict_and_not_flaky(self, project: Project) -> None:
        project.scenario(agent={"name": "nop"})

        ran = project.run("--reruns=2")

        agreed(ran, 1, "1 failed: demo (artifact missing)")
        assert ran.scenario()["flaky"] is False
        assert len(list(ran.folder.rglob("run.json"))) == 3

    def test_a_blocked_scenario_is_run_again_too(self, project: Project) -> None:
        project.scenario(agent={"name": "unheard-of"})

        ran = project.run("--reruns=1", "--junitxml=junit.xml")

        agreed(ran, 2, "1 blocked: demo (configuration)")
        assert len(list(ran.folder.rglob("run.json"))) == 2
        assert len(cases(project.path / "junit.xml")) == 1

    @pytest.mark.parametrize(("module", "options"), [("pytest_randomly", []), ("random_order", ["--random-order"])])
    def test_the_order_of_the_items_does_not_matter(self, project: Project, module: str, options: list[str]) -> None:
        pytest.importorskip(module)
        every_status(project)

        ran = project.run(*options)

        assert {name: ran.scenario(name)["status"] for name in STATUSES} == STATUSES
        assert ran.code == 1

    def test_coverage_is_measured_in_the_session_with_scenarios(self, project: Project) -> None:
        pytest.importorskip("pytest_cov")
        project.scenario()
        project.file("code_under_test.py", "def answer():\n    return 42\n")
        project.file("test_plain.py", "from code_under_test import answer\ndef test_it(): assert answer() == 42\n")

        ran = project.process("-n2", "--cov=code_under_test", "--cov-report=json:coverage.json")

        assert ran.judged() == ("provisional", "verified")
        (measured,) = json.loads((project.path / "coverage.json").read_text())["files"].values()
        assert (measured["executed_lines"], measured["missing_lines"]) == ([1, 2], [])


def test_git_is_not_needed_when_uncleanness_is_acknowledged(project: Project) -> None:
    git(project.path, "init", "-q")
    project.scenario()

    assert project.run().verdict() == ("provisional", "verified", 0)
