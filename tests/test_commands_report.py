"""`specbench report`: what is recorded, and nothing that is not as it was recorded."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
from approval_support import maintained
from recorded_runs import BEGIN, Command, benchmark_run, command_line, run_id, write_run
from reporting_samples import compared, regression
from scenario_files import Project, command
from test_reporting_report import CONTRACT

from pytest_specbench.commands.place import FILES, configuration, place_here
from pytest_specbench.core.approval.audit import Acknowledged, Action, AuditEntry
from pytest_specbench.core.errors import UsageError
from pytest_specbench.core.status import Cause, Status
from pytest_specbench.reporting.schemas import shipped_schema
from pytest_specbench.store.baselines.audit import append


@pytest.fixture
def specbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command_line(tmp_path, monkeypatch, capsys)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    root = tmp_path / ".terminalbench"
    (root / "runs").mkdir(parents=True)
    return root


@pytest.mark.parametrize("form", ["table", "json", "markdown"])
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_stdout_of_any_encoding_takes_every_report(
    specbench: Command, output: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, form: str
) -> None:
    passed = benchmark_run(1)
    write_run(output, 1, passed.model_copy(update={"notes": "größer → 大", "status": Status.BLOCKED, "exit_code": 2}))
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))

    answer = specbench("report", "--format", form)

    assert (answer.code, answer.err) == (0, "")
    assert "specify" in written.getvalue().decode(encoding)


class TestLatest:
    def test_the_latest_run_of_each_scenario(self, specbench: Command, output: Path) -> None:
        write_run(output, 1, benchmark_run(1, "specify"), benchmark_run(1, "plan"))
        newest = write_run(output, 2, benchmark_run(2, "specify"))

        answer = specbench("report", "--format", "json")

        assert (answer.code, answer.err) == (0, "")
        report = answer.report
        assert [(row["scenario_id"], row["run_id"]) for row in report["scenarios"]] == [
            ("plan", str(run_id(1))),
            ("specify", str(run_id(2))),
        ]
        assert report["run_id"] == str(run_id(2))
        assert report["scenarios"][1]["run_folder"] == f".terminalbench/runs/{newest.name}"
        assert report["summary"] == {"regressions": 0, "blocked": 0, "provisional": 0, "passed": 2, "total": 2}

    def test_it_is_the_contracts_json_and_fits_its_schema(self, specbench: Command, output: Path) -> None:
        write_run(output, 1, benchmark_run(1))

        for arguments in ([], ["--run", "latest"], ["--deltas"]):
            report = specbench("report", "--format", "json", *arguments).report
            jsonschema.validate(report, CONTRACT, format_checker=jsonschema.FormatChecker())
            jsonschema.validate(report, shipped_schema("summary_report.schema.json"))

    def test_the_table_says_who_is_alerted_and_how_far_it_is_to_an_approval(
        self, specbench: Command, output: Path
    ) -> None:
        for number in (1, 2):
            write_run(output, number)

        out = specbench("report").out

        assert "guild" in out
        assert "2 of 3" in out
        assert "00000002" in out
        assert f"{BEGIN:%Y-%m-%d} 14:00" in out
        assert out.splitlines()[-1] == "1 scenario: 1 passed"

    @pytest.mark.parametrize("width", ["40", "80", "300"])
    def test_no_line_of_the_table_is_too_wide(
        self, specbench: Command, output: Path, monkeypatch: pytest.MonkeyPatch, width: str
    ) -> None:
        monkeypatch.setenv("COLUMNS", width)
        write_run(output, 1)

        out = specbench("report").out

        assert max(map(len, out.splitlines())) <= int(width)
        for shown in ("specify", "pass", "512 MB", "1 of 3", "guild"):
            assert shown in out

    def test_passing_runs_are_those_of_an_approval(self, specbench: Command, output: Path) -> None:
        write_run(output, 1)
        write_run(output, 2, regression("specify", run_id=run_id(2), executed_at=benchmark_run(2).executed_at,
                                        fingerprint=benchmark_run(2).fingerprint, clean=True))  # fmt: skip
        for number in (3, 5, 6, 7):
            write_run(output, number)
        write_run(output, 4, benchmark_run(4, status=Status.BLOCKED, cause=Cause.ENGINE_MISSING))

        def passing(reference: str) -> int:
            report = specbench("report", "--run", reference, "--format", "json").report
            return report["scenarios"][0]["passing_runs"]

        assert [passing(f"{number:08x}") for number in (1, 2, 3, 4, 5, 6, 7)] == [1, 0, 1, 0, 2, 3, 3]

    def test_an_approval_and_an_acknowledgement_are_shown(
        self, specbench: Command, output: Path, tmp_path: Path
    ) -> None:
        write_run(output, 1, benchmark_run(1, "specify"), regression("plan", run_id=run_id(1)))
        common = {"by": "m@example.org", "rotation": "r", "verified": False, "key": "0" * 64, "run_id": run_id(1)}
        first = AuditEntry(action=Action.APPROVE, at=BEGIN, scenario_id="specify", baseline_id="specify-1",
                           record_sha256="1" * 64, **common)  # fmt: skip
        path = append(tmp_path / "baselines", first, None)
        known = Acknowledged(
            until=datetime(2030, 1, 1, tzinfo=UTC).date(), cause=Cause.ARTIFACT_MISSING, failed_share=1
        )
        second = AuditEntry(action=Action.ACKNOWLEDGE, at=BEGIN.replace(hour=13), scenario_id="plan",
                            acknowledged=known, parents=(hash_of(path),), **common)  # fmt: skip
        entry = append(tmp_path / "baselines", second, None)

        answer = specbench("report", "--format", "json")
        rows = {row["scenario_id"]: row for row in answer.report["scenarios"]}

        assert answer.code == 0
        assert (rows["specify"]["approved_as"], rows["specify"]["acknowledgement"]) == ("specify-1", None)
        assert (rows["plan"]["approved_as"], rows["plan"]["acknowledgement"]) == (None, entry.name)
        assert "approved as specify-1" in specbench("report").out

    def test_a_broken_trail_is_told_and_nothing_is_believed_of_it(
        self, specbench: Command, output: Path, tmp_path: Path
    ) -> None:
        write_run(output, 1)
        (tmp_path / "baselines" / "audit").mkdir(parents=True)
        (tmp_path / "baselines" / "audit" / "20261101T120000.000000Z-0000.json").write_text("{")

        answer = specbench("report", "--format", "json")

        assert answer.code == 3
        assert "specbench baseline verify" in answer.err
        assert answer.report["scenarios"][0]["approved_as"] is None
        assert len(answer.report["problems"]) == 1

    def test_an_earlier_attempt_that_ended_otherwise_makes_it_flaky(self, specbench: Command, output: Path) -> None:
        failed = benchmark_run(1, status=Status.REGRESSION, cause=Cause.ARTIFACT_MISSING)
        write_run(output, 1, failed, benchmark_run(1, artifacts_path="specify/rerun-01"))

        (row,) = specbench("report", "--format", "json").report["scenarios"]

        assert (row["status"], row["flaky"], row["artifacts_path"]) == ("pass", True, "specify/rerun-01")

    def test_runs_that_passed_at_the_second_attempt_are_not_consecutive(self, specbench: Command, output: Path) -> None:
        for number in (1, 2, 3):
            failed = benchmark_run(number, status=Status.REGRESSION, cause=Cause.ARTIFACT_MISSING)
            at = failed.executed_at + timedelta(minutes=1)
            write_run(output, number, failed, benchmark_run(number, artifacts_path="specify/rerun-01", executed_at=at))

        for arguments in ([], ["--run", "00000003"]):
            (row,) = specbench("report", "--format", "json", *arguments).report["scenarios"]
            assert (row["status"], row["passing_runs"]) == ("pass", 1)

    def test_dataset(self, specbench: Command, output: Path) -> None:
        write_run(output, 1, benchmark_run(1, "specify"), benchmark_run(1, "plan", dataset_version="other==2"))

        only = specbench("report", "--dataset", "other@2", "--format", "json")
        of_run = specbench("report", "--run", "latest", "--dataset", "other", "--format", "json")
        none = specbench("report", "--dataset", "nobody")

        for answer in (only, of_run):
            assert [row["scenario_id"] for row in answer.report["scenarios"]] == ["plan"]
        assert (none.code, none.out) == (3, "")
        assert "no run of dataset 'nobody'" in none.err

    def test_deltas(self, specbench: Command, output: Path) -> None:
        write_run(output, 1, compared(status=Status.REGRESSION, cause=Cause.METRIC_REGRESSION, run_id=run_id(1)))

        plain, deltas = specbench("report").out, specbench("report", "--deltas").out
        rows = specbench("report", "--deltas", "--format", "json").report["scenarios"]

        assert "+5.4%" in plain
        assert "threshold" not in plain
        assert "runtime_ms: 11.7 s -> 12.3 s (+5.4%), threshold 5%, worse" in deltas
        assert "changed under test: agent.version: 1.0 -> 1.1" in deltas
        assert rows[0]["comparison"]["metrics"][0]["threshold_percent"] == 5.0
        assert rows[0]["comparison"]["subject_changes"][0]["name"] == "agent.version"
        assert specbench("report", "--format", "json").report["scenarios"][0]["comparison"] is None

    def test_markdown_holds_nothing_that_a_scenario_could_use(self, specbench: Command, output: Path) -> None:
        hostile = "![x](http://example.org) <b> @all | `code`\n```\n# heading"
        write_run(output, 1, regression("specify", run_id=run_id(1), notes=hostile, owner_rotation="a|b @all"))

        out = specbench("report", "--format", "markdown").out

        assert out.startswith("## specbench: 1 scenario: 1 failed\n")
        assert "````text" in out
        assert "a&#124;b &#64;all" in out

    def test_no_run_at_all(self, specbench: Command, output: Path) -> None:
        empty = specbench("report")
        shutil.rmtree(output)
        nothing = specbench("report")

        for answer in (empty, nothing):
            assert (answer.code, answer.out) == (3, "")
            assert "no run is recorded" in answer.err
            assert "specbench run" in answer.err


class TestOneRun:
    def test_by_id_prefix_folder_path_and_latest(self, specbench: Command, output: Path) -> None:
        folder = write_run(output, 1)
        write_run(output, 2)
        (output / "latest").symlink_to(f"runs/{folder.name}")

        for reference in (str(run_id(1)), "00000001", folder.name, str(folder), f".terminalbench/runs/{folder.name}/",
                          "latest"):  # fmt: skip
            answer = specbench("report", "--run", reference, "--format", "json")
            assert (answer.code, answer.report["run_id"]) == (0, str(run_id(1))), reference

    def test_a_run_folder_that_lies_alone(self, specbench: Command, output: Path, tmp_path: Path) -> None:
        folder = write_run(output, 1).rename(tmp_path / "alone")
        shutil.rmtree(output)

        answer = specbench("report", "--run", "./alone", "--format", "json")

        assert (answer.code, answer.err) == (0, "")
        assert answer.report["scenarios"][0]["run_folder"] == folder.name

    def test_its_exit_code_and_reason_are_shown(self, specbench: Command, output: Path) -> None:
        write_run(output, 1, benchmark_run(1), regression(run_id=run_id(1)))

        answer = specbench("report", "--run", "latest", "--format", "json")

        assert answer.code == 0
        assert (answer.report["exit_code"], answer.report["exit_reason"]) == (
            1,
            "1 failed: plan (artifact missing)",
        )
        assert [row["scenario_id"] for row in answer.report["scenarios"]] == ["specify", "plan"]

    @pytest.mark.parametrize("reference", ["00000009", "short", str(run_id(9)), "./nowhere", "2026"])
    def test_a_run_that_is_not_there(self, specbench: Command, output: Path, reference: str) -> None:
        write_run(output, 1)

        answer = specbench("report", "--run", reference, "--format", "json")

        assert (answer.code, answer.out) == (3, "")
        assert repr(reference) in answer.err
        assert "specbench run" in answer.err

    def test_the_last_attempt(self, specbench: Command, output: Path) -> None:
        failed = benchmark_run(1, status=Status.REGRESSION, cause=Cause.ARTIFACT_MISSING)
        write_run(output, 1, failed, benchmark_run(1, artifacts_path="specify/rerun-01"))

        (row,) = specbench("report", "--run", "latest", "--format", "json").report["scenarios"]

        assert row["artifacts_path"] == "specify/rerun-01"


HARMS: dict[str, Any] = {
    "an artifact is missing": lambda folder: (folder / "specify/trial-01/agent.cast").unlink(),
    "an artifact is altered": lambda folder: (folder / "specify/trial-01/agent.cast").write_text("x"),
    "an artifact is a link": lambda folder: relink(folder / "specify/trial-01/agent.cast"),
    "the record is corrupt": lambda folder: (folder / "specify/run.json").write_text("{"),
    "the record is empty": lambda folder: (folder / "specify/run.json").write_text(""),
    "the record is of another form": lambda folder: (folder / "specify/run.json").write_text("{}"),
    "the record is a link": lambda folder: relink(folder / "specify/run.json"),
    "the record is no text": lambda folder: (folder / "specify/run.json").write_bytes(b"\xff\xfe"),
    "the record does not know an artifact": lambda folder: forge(folder, lambda run: run["artifact_hashes"].popitem()),
    "the record names a file of this machine": lambda folder: forge(
        folder, lambda run: run["artifacts"].update(agent_cast="/etc/passwd")
    ),
    "the record names a file above": lambda folder: forge(
        folder, lambda run: run["artifacts"].update(agent_cast="specify/../specify/trial-01/agent.cast")
    ),
    "the record names a file that it has no hash of": lambda folder: forge(
        folder, lambda run: run["artifacts"].update(post_test="specify/run.json")
    ),
    "a trial lies elsewhere": lambda folder: forge(
        folder, lambda run: run["trials"][0].update(artifacts_path="plan/trial-01")
    ),
    "the record names a file outside": lambda folder: edit(folder, '"trial-01/agent.cast": "', '"../../x": "'),
}


def forge(folder: Path, change: Callable[[Any], object]) -> None:
    path = folder / "specify/run.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def relink(path: Path) -> None:
    moved = path.rename(path.with_name("moved"))
    path.symlink_to(moved.name)


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "specify/run.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


class TestCorrupt:
    @pytest.mark.parametrize("harm", HARMS)
    @pytest.mark.parametrize("arguments", [[], ["--run", "latest"]], ids=["latest", "run"])
    def test_what_is_bad_is_told_and_what_is_good_is_shown(
        self, specbench: Command, output: Path, harm: str, arguments: list[str]
    ) -> None:
        folder = write_run(output, 1, benchmark_run(1, "specify"), benchmark_run(1, "plan"))
        HARMS[harm](folder)

        answer = specbench("report", "--format", "json", *arguments)

        assert answer.code == 3
        assert [row["scenario_id"] for row in answer.report["scenarios"]] == ["plan"]
        assert str(folder / "specify") in answer.err
        assert "specbench run --scenarios specify" in answer.err
        assert len(answer.report["problems"]) >= 1

    @pytest.mark.parametrize("name", ["agent.cast", "run_metadata.json", "summary.json", "atif/trajectory.json"])
    def test_an_artifact_that_is_gone_from_the_disk_and_from_the_record_is_missing(
        self, specbench: Command, output: Path, name: str
    ) -> None:
        folder = write_run(output, 1)
        (folder / "specify/trial-01" / name).unlink()
        forge(folder, lambda run: run["artifact_hashes"].pop(f"trial-01/{name}"))
        forge(folder, lambda run: run["artifacts"].update(agent_cast=None))

        for arguments in ([], ["--run", "latest"]):
            answer = specbench("report", *arguments)
            assert answer.code == 3
            assert f"it has no hash of 'specify/trial-01/{name}', which every trial leaves" in answer.err

    @pytest.mark.parametrize(
        ("changes", "names"),
        [
            ({"outcome": "infrastructure", "cause": "sandbox_failed"}, ["summary.json", "agent.cast"]),
            ({"repeated": True}, ["summary.json", "agent.cast"]),
            ({"outcome": "failure", "cause": "trajectory_invalid"}, ["atif/trajectory.json"]),
        ],
    )
    def test_a_trial_that_may_have_left_less_is_whole_without(
        self, specbench: Command, output: Path, changes: dict[str, Any], names: list[str]
    ) -> None:
        folder = write_run(output, 1)
        forge(folder, lambda run: run["trials"][0].update(changes))
        forge(folder, lambda run: [run["artifact_hashes"].pop(f"trial-01/{name}") for name in names])
        forge(folder, lambda run: run["artifacts"].update(agent_cast=None))

        assert specbench("report").code == 0

    def test_every_problem_is_told(self, specbench: Command, output: Path) -> None:
        folder = write_run(output, 1, benchmark_run(1, "specify"), benchmark_run(1, "plan"))
        (folder / "specify/trial-01/agent.cast").unlink()
        (folder / "specify/trial-01/run_metadata.json").write_text("x")
        (folder / "plan/run.json").write_text("{")

        for arguments in ([], ["--run", "latest"]):
            answer = specbench("report", *arguments)
            assert answer.code == 3
            for what in (
                "agent.cast: the artifact is missing",
                "run_metadata.json: the artifact is not",
                "plan/run.json",
            ):
                assert what in answer.err

    def test_a_record_that_was_edited_after_it_was_indexed_disagrees_with_the_report(
        self, specbench: Command, output: Path
    ) -> None:
        folder = write_run(output, 1, regression("specify", run_id=run_id(1)))
        edit(folder, '"status": "regression"', '"status": "pass"')

        answer = specbench("report", "--run", "latest")

        assert answer.code == 3
        assert "it says regression (artifact_missing), and its record pass" in answer.err

    @pytest.mark.parametrize("harm", ["missing", "corrupt"])
    def test_a_run_without_its_report(self, specbench: Command, output: Path, harm: str) -> None:
        folder = write_run(output, 1)
        if harm == "missing":
            (folder / "report.json").unlink()
        else:
            (folder / "report.json").write_text("[]")

        answer = specbench("report", "--run", folder.name, "--format", "json")

        assert answer.code == 3
        assert "report.json" in answer.err
        assert [row["scenario_id"] for row in answer.report["scenarios"]] == ["specify"]

    def test_a_record_that_is_gone(self, specbench: Command, output: Path) -> None:
        folder = write_run(output, 1)
        shutil.rmtree(folder / "specify")

        answer = specbench("report", "--run", folder.name, "--format", "json")

        assert answer.code == 3
        assert "specify/run.json: it is missing" in answer.err
        assert answer.report["scenarios"] == []


class TestPlace:
    """Two paths and two numbers, found as pytest finds them, without pytest."""

    def test_pytest_is_not_imported(self) -> None:
        code = "import sys, pytest_specbench.commands.place; sys.exit('pytest' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    @pytest.mark.parametrize("value", ["0", "-1", "x", "1.5"])
    def test_a_wrong_value_names_its_source(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        (tmp_path / "pytest.ini").write_text(f"[pytest]\nspecbench_keep_runs = {value}\n")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UsageError, match="keep-runs from ini specbench_keep_runs"):
            place_here()

    def test_command_line_environment_ini_default(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SPECBENCH_ARTIFACTS", raising=False)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        assert place_here().output == tmp_path / ".terminalbench"
        (tmp_path / "pytest.ini").write_text("[pytest]\nspecbench_output = ini\n")
        assert place_here().output == tmp_path / "ini"
        monkeypatch.setenv("SPECBENCH_ARTIFACTS", "environment")
        assert place_here().output == tmp_path / "environment"
        assert place_here({"output": "given"}).output == tmp_path / "given"

    FORMS: ClassVar = {
        "pytest.toml": "[pytest]\nspecbench_output = 'x'\n",
        ".pytest.toml": "[pytest]\n",
        "pytest.ini": "[pytest]\nspecbench_output = x\n",
        ".pytest.ini": "[other]\na = b\n",
        "pyproject.toml": "[tool.pytest.ini_options]\nspecbench_output = 'x'\n",
        "tox.ini": "[pytest]\nspecbench_output = x\n",
        "setup.cfg": "[tool:pytest]\nspecbench_output = x\n",
    }
    SILENT: ClassVar = {
        "pyproject.toml": "[tool.other]\na = 1\n",
        "tox.ini": "[tox]\n",
        "setup.cfg": "[metadata]\nname = x\n",
    }

    @pytest.mark.parametrize("below", ["", "benchmarks", "sub"])
    @pytest.mark.parametrize("name", FILES)
    def test_it_reads_what_pytest_reads(self, tmp_path: Path, name: str, below: str) -> None:
        (tmp_path / "benchmarks").mkdir()
        (tmp_path / "sub").mkdir()
        for other, text in self.SILENT.items():
            if other != name:
                (tmp_path / other).write_text(text)
        (tmp_path / name).write_text(self.FORMS[name])

        assert configuration(tmp_path / below) == pytests(tmp_path / below)

    @pytest.mark.parametrize("name", ["pyproject.toml", "tox.ini", "setup.cfg", "setup.py", None])
    def test_without_a_configuration_the_root_is_pytests_too(self, tmp_path: Path, name: str | None) -> None:
        (tmp_path / "sub").mkdir()
        if name:
            (tmp_path / name).write_text(self.SILENT.get(name, ""))

        assert configuration(tmp_path / "sub") == pytests(tmp_path / "sub")

    def test_a_file_that_cannot_be_parsed(self, tmp_path: Path) -> None:
        for name in ("pytest.ini", "pyproject.toml"):
            (tmp_path / name).write_text("[[[")
            with pytest.raises(UsageError, match=name):
                configuration(tmp_path)
            (tmp_path / name).unlink()


def pytests(here: Path) -> tuple[Path, dict[str, Any]]:
    """What pytest finds."""
    from _pytest.config.findpaths import determine_setup

    arguments = [str(here / "benchmarks")] if (here / "benchmarks").is_dir() else []
    root, _, ini, *_ = determine_setup(
        inifile=None, override_ini=None, args=arguments, rootdir_cmd_arg=None, invocation_dir=here
    )
    return root, {name: getattr(value, "value", value) for name, value in ini.items()}


def hash_of(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestRealRuns:
    def test_what_a_run_printed_is_what_the_report_says(self, either: Project) -> None:
        either.scenario("good")
        either.scenario("bad", agent=command("exit 3"))
        ran = either.run()

        shown = either.specbench("report", "--run", "latest", "--format", "json")
        report = json.loads(shown.out)

        assert (shown.code, shown.err) == (0, "")
        names = {"comparison", "run_id", "run_folder", "dataset_version", "commit_sha", "clean", "approved_as",
                 "acknowledgement", "passing_runs", "passing_runs_needed"}  # fmt: skip
        plain = [{key: value for key, value in row.items() if key not in names} for row in report["scenarios"]]
        assert plain == ran.report["scenarios"]
        assert (report["exit_code"], report["exit_reason"]) == (1, ran.report["exit_reason"])
        assert "bad" in either.specbench("report").out

    def test_runs_that_passed_by_a_rerun_are_no_candidate(self, project: Project) -> None:
        pytest.importorskip("pytest_rerunfailures")
        tried = project.path.parent / f"{project.path.name}-tried"
        fails_first = f"test -e {tried} && echo made > result.txt && rm {tried} || touch {tried}"
        project.scenario(agent=command(fails_first))
        maintained(project)
        for _ in range(3):
            assert project.run("--reruns=1", "-p", "rerunfailures").scenario()["flaky"] is True

        shown = json.loads(project.specbench("report", "--format", "json").out)
        refused = project.specbench("baseline", "approve", "--scenario", "demo", "--run", "latest")

        assert shown["scenarios"][0]["passing_runs"] == 1
        assert "1 of 3" in project.specbench("baseline", "list").out
        assert refused.code == 4
        assert "and 1 is recorded" in refused.err

    def test_the_artifact_root_of_the_ini_file(self, project: Project) -> None:
        project.scenario("good")
        project.more_ini(output="elsewhere")
        project.run()

        assert "good" in project.specbench("report").out
        assert project.specbench("report", "--output", "nowhere").code == 3
