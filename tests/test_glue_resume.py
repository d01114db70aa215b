"""A run that was cut short is finished by `--specbench-resume`: what is complete stands, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from parity_support import git
from scenario_files import LEAN, Project, Ran, command

from pytest_specbench.reporting.schemas import report_schema

RAN = "ran.txt"
"""Beside the project: a line for each time that an agent acted."""


def acts(project: Project, name: str, more: str = "true") -> dict[str, Any]:
    """An agent that says that it ran, does something more, and makes what is asked for."""
    return command(f"echo {name} >> {project.path / RAN}; {more}; echo made > result.txt")


def ran(project: Project) -> list[str]:
    """Which agents acted since the last time somebody asked."""
    path = project.path / RAN
    lines = path.read_text("utf-8").split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


@pytest.fixture(autouse=True)
def repository(pytester: pytest.Pytester) -> Path:
    """A repository, without which nobody can tell that what ran is still what is there."""
    ignored = (RAN, "started", "__pycache__/", ".pytest_cache/", "/stdout", "/stderr", "runpytest-*")
    (pytester.path / ".gitignore").write_text("\n".join([*ignored, ""]))
    git(pytester.path, "init", "-q")
    git(pytester.path, "add", "-A")
    git(pytester.path, "commit", "-q", "-m", "nothing yet")
    return pytester.path


@pytest.fixture
def pipe(project: Project) -> Path:
    """The named pipe that an agent opens to say that it is at work; in a resumed run it is gone."""
    os.mkfifo(project.path / "started")
    return project.path / "started"


def blocks(pipe: Path) -> str:
    """Says that it is at work and waits for its end, the first time; later there is no pipe, and it goes on."""
    return f"if [ -p {pipe} ]; then echo at work > {pipe}; sleep 87640; fi"


def cut(project: Project, pipe: Path, number: int, *arguments: str) -> Ran:
    """Run pytest in a process, and send the signal when an agent is at work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *LEAN, "-p", "no:cacheprovider", *arguments],
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert pipe.read_text() == "at work\n"
    pipe.unlink()
    os.kill(process.pid, number)
    out, _ = process.communicate(timeout=60)
    return Ran(process.returncode, out, "", project.path / ".terminalbench")


def three(project: Project, pipe: Path) -> None:
    project.scenario("a-done", agent=acts(project, "a"))
    project.scenario("b-cut", agent=acts(project, "b", blocks(pipe)))
    project.scenario("c-never", agent=acts(project, "c"))


def runs(project: Project) -> list[Path]:
    return sorted((project.path / ".terminalbench" / "runs").iterdir())


class TestWhatRunsAgain:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
    def test_only_what_was_cut_off_and_what_never_ran(self, project: Project, pipe: Path, number: int) -> None:
        three(project, pipe)
        first = cut(project, pipe, number)
        assert ran(project) == ["a", "b"]
        before = (runs(project)[0] / "a-done" / "run.json").read_bytes()

        resumed = project.run("--specbench-resume=latest", "-v")

        assert ran(project) == ["b", "c"]
        assert resumed.code == 0, resumed.out
        assert [run.name for run in runs(project)] == [resumed.folder.name]
        assert resumed.report["interrupted"] is False
        assert resumed.report["run_id"] == json.loads(before)["run_id"]
        assert [row["scenario_id"] for row in resumed.report["scenarios"]] == ["a-done", "b-cut", "c-never"]
        assert resumed.judged("a-done") == ("provisional", "verified")
        assert [row["resumed"] for row in resumed.report["scenarios"]] == [True, False, False]
        assert "resumed: from the earlier part of the run" in resumed.scenario("a-done")["notes"]
        assert resumed.scenario("b-cut")["artifacts_path"] == "b-cut/rerun-01"
        assert (resumed.folder / "a-done" / "run.json").read_bytes() == before
        assert "resumed: 1 of 3 verdicts are from the earlier part of the run" in resumed.out
        assert resumed.out.count("PROVISIONAL") == 3
        if number != signal.SIGKILL:
            assert first.code == 2
            assert json.loads((resumed.folder / "report.part-01.json").read_text())["interrupted"] is True

    def test_with_workers(self, project: Project, pipe: Path) -> None:
        three(project, pipe)
        cut(project, pipe, signal.SIGKILL, "-n2")
        records = {path.parent.name: json.loads(path.read_text()) for path in runs(project)[0].glob("*/run.json")}
        done = {name for name, record in records.items() if record["status"] != "blocked"}
        ran(project)

        resumed = project.process("--specbench-resume=latest", "-n2")

        assert resumed.code == 0, resumed.out + resumed.err
        assert {row["scenario_id"] for row in resumed.report["scenarios"] if row["resumed"]} >= done
        assert "b" in ran(project)
        assert len(runs(project)) == 1

    def test_complete_trials_are_not_run_again(self, project: Project, pipe: Path) -> None:
        cuts_second = f"[ $(wc -l < {project.path / RAN}) -ne 2 ] || {{ {blocks(pipe)}; }}"
        project.scenario(agent=acts(project, "t", cuts_second), trials=3)
        cut(project, pipe, signal.SIGKILL)
        assert ran(project) == ["t", "t"]

        resumed = project.run("--specbench-resume=latest")

        assert ran(project) == ["t", "t"]
        assert resumed.verdict() == ("provisional", "verified", 0)
        assert (resumed.scenario()["trials"], resumed.scenario()["trials_resumed"]) == (3, 1)
        trials = json.loads((resumed.folder / "demo" / "rerun-01" / "run.json").read_text())["trials"]
        assert [trial["resumed"] for trial in trials] == [True, False, False]
        for trial in trials:
            assert (resumed.folder / trial["artifacts_path"] / "agent.cast").is_file()
            assert (resumed.folder / trial["artifacts_path"] / "run-metadata.json").is_symlink()
        assert (resumed.folder / "demo" / "trial-02").is_dir()  # what was cut off stays

    def test_a_run_may_be_cut_short_again_and_again(self, project: Project, pipe: Path) -> None:
        three(project, pipe)
        cut(project, pipe, signal.SIGKILL)
        os.mkfifo(pipe)
        cut(project, pipe, signal.SIGINT, "--specbench-resume=latest")
        assert ran(project) == ["a", "b", "b"]

        resumed = project.run("--specbench-resume=latest")

        assert ran(project) == ["b", "c"]
        assert resumed.code == 0
        assert resumed.report["resumed"]["part"] == 3
        assert resumed.report["resumed"]["scenarios"] == ["a-done"]

    def test_a_blocked_scenario_is_looked_at_again(self, project: Project) -> None:
        """Nothing was learned about the agent: it may have been a passing fault."""
        project.scenario("needs-a-key", agent=acts(project, "k"), secrets=["MISSING_KEY_OF_OURS"])
        assert project.run().judged("needs-a-key") == ("blocked", "key_missing")
        project.pytester._monkeypatch.setenv("MISSING_KEY_OF_OURS", "there-now")

        resumed = project.run("--specbench-resume=latest")

        assert resumed.judged("needs-a-key") == ("provisional", "verified")
        assert ran(project) == ["k"]


class TestAFinishedRun:
    def test_there_is_nothing_to_do_and_it_is_reported_again(self, either: Project) -> None:
        either.scenario("good", agent=acts(either, "good"))
        either.scenario("bad", agent=command(f"echo bad >> {either.path / RAN}"))
        first = either.run()
        assert first.code == 1
        assert sorted(ran(either)) == ["bad", "good"]

        again = either.run("--specbench-resume=latest")

        assert again.code == 1
        assert ran(either) == []
        assert again.judged("good") == ("provisional", "verified")
        assert again.judged("bad") == ("regression", "artifact_missing")
        assert "nothing was left to do" in again.out
        assert again.report["run_id"] == first.report["run_id"]

    def test_the_report_fits_its_schema(self, project: Project) -> None:
        from jsonschema import validate

        project.scenario()
        project.run()

        validate(project.run("--specbench-resume=latest").report, report_schema())


class TestWhatDoesNotStand:
    @pytest.fixture
    def done(self, project: Project) -> Ran:
        project.scenario(agent=acts(project, "x"))
        first = project.run()
        assert ran(project) == ["x"]
        return first

    def resumed(self, project: Project) -> Ran:
        return project.run("--specbench-resume=latest")

    @pytest.mark.parametrize(
        "name",
        ["trial-01/agent.cast", "trial-01/atif/trajectory.json", "trial-01/trial.json", "trial-01/summary.json"],
    )
    @pytest.mark.parametrize("how", ["altered", "gone"])
    def test_an_artifact_that_is_not_what_it_was(self, project: Project, done: Ran, name: str, how: str) -> None:
        path = done.folder / "demo" / name
        if how == "altered":
            path.write_bytes(path.read_bytes() + b" ")
        else:
            path.unlink()

        resumed = self.resumed(project)

        assert ran(project) == ["x"]
        assert resumed.verdict() == ("provisional", "verified", 0)
        assert resumed.scenario()["resumed"] is False

    @pytest.mark.parametrize("content", ["", "{", "{}", "null"])
    def test_a_record_that_cannot_be_read_leaves_the_trials(self, project: Project, done: Ran, content: str) -> None:
        (done.folder / "demo" / "run.json").write_text(content)

        resumed = self.resumed(project)

        assert ran(project) == []
        assert (resumed.scenario()["resumed"], resumed.scenario()["trials_resumed"]) == (False, 1)
        assert (done.folder / "demo" / "run.json").read_text() == content

    @pytest.mark.parametrize(
        "change",
        [{"status": "pass"}, {"run_id": "00000000-0000-4000-8000-000000000000"}, {"metrics": {}}, {"exit_code": 1}],
        ids=["status", "run_id", "metrics", "exit_code"],
    )
    def test_a_record_that_does_not_follow_from_its_trials(
        self, project: Project, done: Ran, change: dict[str, Any]
    ) -> None:
        path = done.folder / "demo" / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))

        resumed = self.resumed(project)

        assert resumed.verdict() == ("provisional", "verified", 0)
        assert resumed.scenario()["resumed"] is False

    def test_a_trial_that_is_another_one_in_the_record(self, project: Project, done: Ran) -> None:
        path = done.folder / "demo" / "run.json"
        path.write_text(
            path.read_text().replace('"exit_status": {\n          "value": 0', '"exit_status": {\n          "value": 3')
        )

        assert self.resumed(project).scenario()["resumed"] is False

    def test_a_scenario_that_was_altered(self, project: Project, done: Ran) -> None:
        project.scenario(agent=acts(project, "altered"))

        resumed = self.resumed(project)

        assert ran(project) == ["altered"]
        assert resumed.scenario()["artifacts_path"] == "demo/rerun-01"

    def test_a_gate_that_was_altered(self, project: Project, done: Ran) -> None:
        project.scenario(agent=acts(project, "x"), metrics_tracked=["success", "steps"], thresholds={"steps": 9})

        assert self.resumed(project).scenario()["resumed"] is False

    @pytest.mark.parametrize("name", ["tool.py", "new.py"], ids=["tracked", "untracked"])
    def test_anything_else_that_is_there_was_altered(self, project: Project, repository: Path, name: str) -> None:
        """No fingerprint has it, and what is tested may be made of it."""
        project.file("tool.py", "first")
        git(repository, "add", "tool.py")
        git(repository, "commit", "-q", "-m", "a tool")
        project.file("tool.py", "second")
        project.scenario(agent=acts(project, "x"))
        project.run()
        assert self.resumed(project).scenario()["resumed"] is True
        assert ran(project) == ["x"]
        project.file(name, "altered")

        resumed = self.resumed(project)

        assert ran(project) == ["x"]
        assert (resumed.scenario()["resumed"], resumed.scenario()["trials_resumed"]) == (False, 0)

    def test_anything_where_there_is_no_repository(self, project: Project, repository: Path) -> None:
        shutil.rmtree(repository / ".git")
        project.scenario(agent=acts(project, "x"))
        project.run()

        assert self.resumed(project).scenario()["resumed"] is False
        assert ran(project) == ["x", "x"]

    def test_a_rerun_of_the_same_session_is_run(self, project: Project) -> None:
        """Who asks for the same scenario twice wants it to run, once it has been told what stands."""
        pytest.importorskip("pytest_rerunfailures")
        project.scenario(agent=command(f"echo r >> {project.path / RAN}"))
        project.run()
        assert ran(project) == ["r"]

        project.process("--specbench-resume=latest", "--reruns=1", "-p", "rerunfailures")

        assert ran(project) == ["r"]


class TestRefused:
    def resume(self, project: Project, *arguments: str, run: str = "latest") -> Ran:
        run_it = project.process if "-n2" in arguments else project.run
        return run_it(f"--specbench-resume={run}", *arguments)

    def test_a_run_that_is_not_there_and_which_are(self, project: Project) -> None:
        project.scenario()
        folder = project.run().folder

        refused = self.resume(project, run="deadbeef")

        assert refused.code == 4
        assert "no run in" in refused.err
        assert folder.name in refused.err

    def test_where_there_is_none_at_all(self, project: Project) -> None:
        project.scenario()
        refused = self.resume(project)
        assert (refused.code, "there is no run that could be resumed" in refused.err) == (4, True)

    def test_what_is_too_short_to_tell(self, project: Project) -> None:
        project.scenario()
        assert self.resume(project, run=project.run().report["run_id"][:7]).code == 4

    @pytest.mark.parametrize(
        ("option", "name"),
        [
            ("--specbench-trials=2", "trials: None then, 2 now"),
            ("--specbench-agent=nop", "agent: None then, 'nop' now"),
            ("--specbench-host-class=other", "host_class: None then, 'other' now"),
            ("--specbench-max-cost=1", "max_cost_usd: none then, 1 now"),
            ("--specbench-trials=2 -n2", "trials: None then, 2 now"),
            ("--specbench-require-baseline=always", "require_baseline: 'known' then, 'always' now"),
        ],
    )
    def test_other_settings_by_name(self, project: Project, option: str, name: str) -> None:
        project.scenario()
        project.run()

        refused = self.resume(project, *option.split())

        assert refused.code == 4
        assert name in refused.err

    def test_another_commit(self, project: Project, repository: Path) -> None:
        project.scenario()
        project.run()
        then = git(repository, "rev-parse", "HEAD").strip()
        git(repository, "commit", "-q", "--allow-empty", "-m", "another")
        now = git(repository, "rev-parse", "HEAD").strip()

        refused = self.resume(project)

        assert refused.code == 4
        assert f"began at commit {then}, and {now} is checked out" in refused.err
        assert f"git checkout {then}" in refused.err

    @pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["no xdist", "n2"])
    def test_a_scenario_that_is_not_selected_any_more(self, project: Project, workers: tuple[str, ...]) -> None:
        project.scenario("one")
        project.scenario("two")
        project.run()

        refused = self.resume(project, "-k", "one", *workers)

        assert refused.code == 4
        assert "two.scenario.yaml::two" in refused.err + refused.out

    def test_a_run_that_is_still_going_on(self, project: Project, pipe: Path) -> None:
        project.scenario(agent=acts(project, "x", f"echo at work > {pipe}; cat {pipe}"))
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *LEAN], cwd=project.path, stdout=subprocess.DEVNULL, start_new_session=True
        )
        assert pipe.read_text() == "at work\n"

        refused = self.resume(project)
        pipe.write_text("go on")
        process.wait(timeout=60)

        assert refused.code == 4
        assert f"still going on: process {process.pid}" in refused.err
        assert process.returncode == 0
        assert self.resume(project).code == 0

    def test_another_process_with_the_number_of_the_owner_is_not_the_owner(self, project: Project) -> None:
        self.owned(project, begun="1000.0")
        assert self.resume(project).code == 0

    def test_an_owner_before_the_machine_was_started_anew_is_gone(self, project: Project) -> None:
        self.owned(project, boot="another")
        assert self.resume(project).code == 0

    def test_an_owner_on_another_machine_may_live(self, project: Project) -> None:
        self.owned(project, machine="id/elsewhere")

        refused = self.resume(project)

        assert refused.code == 4
        assert "on another machine, elsewhere" in refused.err

    def owned(self, project: Project, **changes: str) -> None:
        """A finished run whose record says that a living process, this one, owns it, but for the changes."""
        from pytest_specbench.sandboxes.owner import PREFIX, owner_labels

        project.scenario()
        path = project.run().folder / "begun.json"
        owner = owner_labels() | {PREFIX + name: value for name, value in changes.items()}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"owner": owner}))

    def test_of_two_at_once_one_wins(self, project: Project, pipe: Path) -> None:
        three(project, pipe)
        cut(project, pipe, signal.SIGKILL)
        os.mkfifo(pipe)
        project.scenario("b-cut", agent=acts(project, "b", f"echo at work > {pipe}; cat {pipe}"))
        arguments = [sys.executable, "-m", "pytest", *LEAN, "--specbench-resume=latest"]
        both = [
            subprocess.Popen(arguments, cwd=project.path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
            for _ in range(2)
        ]
        assert pipe.read_text() == "at work\n"  # the winner holds the run until it is told to go on
        loser = next(process for process in iter(lambda: _ended(both), None))
        pipe.write_text("go on")
        codes = sorted(process.wait(timeout=60) for process in both)

        assert codes == [0, 4]
        assert loser.stderr is not None
        assert "is still going on" in loser.stderr.read()

    def test_a_record_of_the_start_that_cannot_be_read(self, project: Project) -> None:
        project.scenario()
        (project.run().folder / "begun.json").write_text("{")
        assert self.resume(project).code == 4

    def test_together_with_the_lock(self, project: Project) -> None:
        project.scenario()
        project.run()
        assert self.resume(project, "--specbench-lock").code == 4


def _ended(processes: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """The first of the processes that ends, waited for by the operating system."""
    pid, status = os.wait()
    ended = next(process for process in processes if process.pid == pid)
    ended.returncode = os.waitstatus_to_exitcode(status)
    return ended


@pytest.mark.parametrize("how", ["id", "prefix", "name", "path", "latest"])
def test_a_run_is_meant_by(project: Project, how: str) -> None:
    project.scenario(agent=acts(project, "x"))
    wanted = project.run()
    run_id = wanted.report["run_id"]
    folder = wanted.folder
    given = {"id": run_id, "prefix": run_id[:8], "name": folder.name, "path": str(folder), "latest": "latest"}[how]

    assert project.run(f"--specbench-resume={given}").report["run_id"] == run_id
    assert ran(project) == ["x"]


def test_the_newest_run_is_the_one_that_began_last_though_it_left_no_report(project: Project, pipe: Path) -> None:
    project.scenario("a-done", agent=acts(project, "a"))
    finished = project.run().report["run_id"]
    project.scenario("b-cut", agent=acts(project, "b", blocks(pipe)))
    cut(project, pipe, signal.SIGKILL)

    resumed = project.run("--specbench-resume=latest")

    assert resumed.report["run_id"] != finished
    assert resumed.report["resumed"]["scenarios"] == ["a-done"]


def test_what_was_spent_before_counts(project: Project) -> None:
    """The ledger of the run's costs stays: a cap that was reached is reached."""
    project.scenario()
    folder = project.run("--specbench-max-cost=5").folder
    ledger = folder / "spend.jsonl"
    ledger.write_text(json.dumps({"cost_usd": 6.0, "what": "a reply of the first part"}) + "\n")

    assert project.run("--specbench-resume=latest", "--specbench-max-cost=9").code == 0

    from pytest_specbench.agents.models.spend import SpendLedger

    assert SpendLedger(ledger).total() == 6.0


def test_specbench_run_takes_it_too(project: Project) -> None:
    project.scenario(agent=acts(project, "x"))
    project.run()

    resumed = project.specbench("run", ".", "--resume", "latest")

    assert resumed.code == 0
    assert ran(project) == ["x"]


def test_an_ordinary_test_that_runs_a_scenario_gets_what_stands(project: Project) -> None:
    project.scenario(agent=acts(project, "x"), file="scenarios/demo.scenario.yaml")
    project.file(
        "test_it.py", "def test_it(specbench):\n    assert specbench('scenarios/demo.scenario.yaml').exit_code == 0\n"
    )
    project.run("test_it.py")
    assert ran(project) == ["x"]

    assert project.run("test_it.py", "--specbench-resume=latest").code == 0
    assert ran(project) == []
