"""What ran must be found again: the repository holds it, or somebody acknowledged that it does not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from parity_support import approve, commit, git
from scenario_files import Project

from pytest_specbench.recording.repository import unclean


@pytest.fixture
def kept(project: Project) -> Project:
    """A project in a clean repository, its scenarios in a folder of their own, and nothing acknowledged."""
    project.more_ini(allow_dirty="")
    project.file("source.txt", "as it was\n")
    project.scenario(file="benchmarks/demo.scenario.yaml")
    commit(project)
    return project


def refused(project: Project, *said: str) -> None:
    """Every run is blocked with these words until the state is acknowledged."""
    ran = project.run()
    assert ran.verdict() == ("blocked", "unclean_repository", 2)
    notes = ran.scenario()["notes"]
    assert "next: " in notes
    assert "--specbench-allow-dirty" in notes.partition("next: ")[2]
    for words in said:
        assert words in notes
        assert words in ran.err
    assert ran.run()["trials"] == []
    acknowledged = project.run("--specbench-allow-dirty")
    assert acknowledged.verdict() == ("provisional", "verified", 0)
    assert acknowledged.report["settings"]["allow_dirty"] is True
    assert acknowledged.report["settings"]["sources"]["allow_dirty"] == "command line"


def test_a_clean_repository_runs_and_its_commit_is_recorded(kept: Project) -> None:
    ran = kept.run()

    assert ran.verdict() == ("provisional", "verified", 0)
    metadata = (ran.trial() / "run_metadata.json").read_text()
    assert git(kept.path, "rev-parse", "HEAD").strip() in metadata


def test_what_a_run_leaves_does_not_stop_the_next_one(kept: Project) -> None:
    assert kept.run().code == 0
    assert kept.run().code == 0


def test_artifacts_among_the_benchmarks_are_none_of_them(kept: Project) -> None:
    assert kept.run("--specbench-output=benchmarks/artifacts").code == 0
    assert kept.run("--specbench-output=benchmarks/artifacts").code == 0
    assert len(list((kept.path / "benchmarks" / "artifacts" / "runs").iterdir())) == 2
    assert not (kept.path / ".terminalbench").exists()


def test_an_untracked_file_elsewhere_is_nobodys_business(kept: Project) -> None:
    kept.file("notes/todo.txt", "later\n")

    assert kept.run().code == 0


def test_an_ignored_file_among_the_benchmarks_is_fine(kept: Project) -> None:
    kept.file(".gitignore", "*.pyc\n")
    git(kept.path, "commit", "-qam", "ignore")
    kept.file("benchmarks/accept.pyc", "")

    assert kept.run().code == 0


def test_a_tracked_change_anywhere(kept: Project) -> None:
    kept.file("source.txt", "edited\n")

    refused(kept, "'source.txt' is changed")


def test_a_staged_change(kept: Project) -> None:
    kept.file("source.txt", "edited\n")
    git(kept.path, "add", "source.txt")

    refused(kept, "'source.txt' is changed")


def test_a_removed_and_a_renamed_file(kept: Project) -> None:
    kept.file("other.txt", "another\n")
    commit(kept)
    (kept.path / "source.txt").unlink()
    git(kept.path, "mv", "other.txt", "renamed to this.txt")

    refused(kept, "'source.txt' is changed", "'renamed to this.txt' is changed")


def test_an_untracked_file_among_the_benchmarks(kept: Project) -> None:
    kept.file("benchmarks/data/ünï code.txt", "new\n")

    refused(kept, "'benchmarks/data/ünï code.txt' is not tracked")


def test_many_changes_are_told_in_short(kept: Project) -> None:
    for number in range(40):
        kept.file(f"benchmarks/new-{number:02}.txt", "new\n")

    refused(kept, "'benchmarks/new-04.txt' is not tracked ...")


def test_no_repository(project: Project) -> None:
    project.more_ini(allow_dirty="")
    project.scenario()

    refused(project, "there is no git repository")


def test_no_commit(project: Project) -> None:
    project.more_ini(allow_dirty="")
    project.scenario()
    git(project.path, "init", "-q")

    refused(project, "there is no commit yet")


def test_no_git(kept: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = kept.path.parent / "no-programs"
    nowhere.mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", str(nowhere))

    ran = kept.run()

    assert ran.verdict() == ("blocked", "unclean_repository", 2)


def test_output_among_the_benchmarks_hides_nothing(kept: Project) -> None:
    """Neither an artifact folder that holds everything, nor the .gitignore that a run leaves in it."""
    kept.file("source.txt", "edited\n")
    for output in (".", "benchmarks"):
        ran = kept.run(f"--specbench-output={output}")
        assert ran.code == 2
        assert "'source.txt' is changed" in ran.out + ran.err


def test_the_working_of_git_is_not_redirected(kept: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = kept.path.parent / f"{kept.path.name}-clean"
    elsewhere.mkdir()
    git(elsewhere, "init", "-q")
    git(elsewhere, "commit", "-q", "--allow-empty", "-m", "clean")
    kept.file("benchmarks/new.txt", "new\n")
    for name, value in {"GIT_DIR": elsewhere / ".git", "GIT_WORK_TREE": elsewhere}.items():
        monkeypatch.setenv(name, str(value))

    assert unclean(kept.path / "benchmarks", ignore=kept.path / ".terminalbench") == [
        "'benchmarks/new.txt' is not tracked"
    ]


class TestWhatCountsAsAnArtifact:
    def found(self, kept: Project, ignore: str, *also: str) -> list[str]:
        return unclean(kept.path / "benchmarks", ignore=kept.path / ignore, also=[kept.path / name for name in also])

    @pytest.mark.parametrize("output", [".", "benchmarks"])
    def test_only_what_runs_leave(self, kept: Project, output: str) -> None:
        for path in ("runs/x/run.json", "progress/x", "index.sqlite"):
            kept.file(f"{output}/{path}", "{}")
        assert self.found(kept, output) == []
        kept.file("benchmarks/accept.sh", "true\n")
        assert self.found(kept, output) == ["'benchmarks/accept.sh' is not tracked"]

    def test_a_tracked_change_among_artifacts_counts(self, kept: Project) -> None:
        kept.file("benchmarks/runs/kept.txt", "as it was\n")
        commit(kept)
        kept.file("benchmarks/runs/kept.txt", "edited\n")

        assert self.found(kept, "benchmarks") == ["'benchmarks/runs/kept.txt' is changed"]

    def test_the_gitignore_of_an_artifact_folder_that_holds_the_benchmarks_counts(self, kept: Project) -> None:
        kept.file("benchmarks/.gitignore", "*\n")
        kept.file("benchmarks/accept.sh", "true\n")

        assert self.found(kept, "benchmarks") == ["'benchmarks/.gitignore' is ignored by git and not tracked"]

    def test_a_baseline_that_was_never_committed_counts(self, kept: Project) -> None:
        kept.file("approved [1]/demo/demo-1.json", "{}")
        assert self.found(kept, ".terminalbench") == []
        assert self.found(kept, ".terminalbench", "approved [1]", "gone", "../outside") == [
            "'approved [1]/demo/demo-1.json' is not tracked"
        ]
        kept.file(".gitignore", "approved*/\n*~\n")
        kept.file("approved [1]/demo/demo-1.json~", "{}")
        git(kept.path, "add", ".gitignore")
        git(kept.path, "commit", "-qm", "hide it")
        assert self.found(kept, ".terminalbench", "approved [1]") == [
            "'approved [1]/demo/demo-1.json' is ignored by git and not tracked"
        ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user")
def test_a_repository_of_another_user_is_told_as_that(kept: Project) -> None:
    os.chown(kept.path, 12345, 12345)
    os.chown(kept.path / ".git", 12345, 12345)

    (found,) = unclean(kept.path / "benchmarks", ignore=kept.path / ".terminalbench")

    assert "belongs to another user (dubious ownership)" in found
    assert f"git config --global --add safe.directory {kept.path}" in found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user")
@pytest.mark.parametrize("by", ["count", "file"])
def test_a_repository_that_the_environment_says_is_safe(
    kept: Project, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """As CI images say it, where nobody has a home."""
    configuration = kept.file(".git/own", f"[safe]\n\tdirectory = {kept.path}\n")
    os.chown(kept.path, 12345, 12345)
    os.chown(kept.path / ".git", 12345, 12345)
    entry = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": str(kept.path)}
    for name, value in (entry if by == "count" else {"GIT_CONFIG_GLOBAL": str(configuration)}).items():
        monkeypatch.setenv(name, value)

    assert unclean(kept.path / "benchmarks", ignore=kept.path / ".terminalbench") == []


def test_locking_needs_no_clean_repository(kept: Project) -> None:
    """The lock is written before it can be committed."""
    kept.file("source.txt", "edited\n")

    assert kept.run("--specbench-lock").code == 0
    assert kept.run("--specbench-lock-check").code == 0


def test_workers_refuse_the_same(kept: Project) -> None:
    kept.file("source.txt", "edited\n")

    assert kept.process("-n2").verdict() == ("blocked", "unclean_repository", 2)


def test_nothing_in_the_way_of_a_run_is_a_traceback(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine, no image's name that could be asked for, no dataset: each names the command that mends it."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    project.scenario("engine")
    project.scenario("dataset", registry_version="suite==9.9")

    ran = project.run("--specbench-sandbox=docker")

    assert ran.judged("engine") == ("blocked", "engine_missing")
    assert "check with `docker info`, or run with --specbench-sandbox local" in ran.scenario("engine")["notes"]
    assert ran.judged("dataset") == ("blocked", "dataset_missing")
    assert "suite==1.0" in ran.scenario("dataset")["notes"]
    assert ran.code == 2
    assert "Traceback" not in ran.out + ran.err


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_a_file_that_git_was_told_not_to_look_at(kept: Project, mark: str) -> None:
    git(kept.path, "update-index", mark, "source.txt")
    kept.file("source.txt", "as nobody sees it\n")
    assert git(kept.path, "status", "--porcelain", "--untracked-files=no") == ""

    assert mark[2:] in unclean(kept.path / "benchmarks", ignore=kept.path / ".terminalbench")[0]


def test_what_a_sparse_check_out_leaves_out_is_no_change(kept: Project) -> None:
    git(kept.path, "update-index", "--skip-worktree", "source.txt")
    (kept.path / "source.txt").unlink()

    assert unclean(kept.path / "benchmarks", ignore=kept.path / ".terminalbench") == []


def test_an_ignored_file_that_the_scenario_names_is_not_held_by_the_repository(kept: Project) -> None:
    kept.file(".gitignore", "*.bin\n")
    kept.file("benchmarks/app/run.sh", "x")
    fixtures = {"app": {"type": "files", "source": "app"}}
    kept.scenario(file="benchmarks/demo.scenario.yaml", fixtures=fixtures, prerequisites=["app"])
    commit(kept)
    assert kept.run().code == 0

    kept.file("benchmarks/app/tool.bin", "y")

    refused(kept, "'benchmarks/app/tool.bin' is ignored by git and not tracked")


def test_what_a_scenario_takes_along_from_elsewhere_counts_too(kept: Project) -> None:
    kept.file(".gitignore", "*.bin\n__pycache__/\n")
    kept.file("agent/run.sh", "x")
    fixtures = {"app": {"type": "files", "source": "../agent"}}
    kept.scenario(file="benchmarks/demo.scenario.yaml", fixtures=fixtures, prerequisites=["app"])
    commit(kept)
    kept.file("elsewhere/untracked.txt", "x")
    kept.file("agent/__pycache__/run.pyc", "x")
    assert kept.run().code == 0

    kept.file("agent/tool.bin", "y")
    kept.file("agent/more.sh", "y")

    refused(kept, "'agent/more.sh' is not tracked", "'agent/tool.bin' is ignored by git and not tracked")


@pytest.mark.parametrize("known", [True, False], ids=["a submodule", "unknown to git"])
def test_what_a_scenario_takes_along_from_another_repository_counts_too(kept: Project, *, known: bool) -> None:
    inner = kept.path / "vendor"
    (inner / "agent").mkdir(parents=True)
    git(inner, "init", "-q")
    (inner / ".gitignore").write_text("*.log\n")
    (inner / "agent" / "run.sh").write_text("x")
    git(inner, "add", "-A")
    git(inner, "commit", "-q", "-m", "one")
    if known:
        commit(kept)
        (inner / "agent" / "run.log").write_text("y")
    found = unclean(kept.path / "benchmarks", ignore=kept.path / ".terminalbench", named=[inner / "agent"])

    assert found == ["'agent/run.log' is ignored by git and not tracked" if known else "'vendor/' is not tracked"]


def test_a_submodule_counts_with_what_it_holds_and_by_none_of_its_settings(kept: Project, tmp_path: Path) -> None:
    inner = kept.path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "file").write_text("1\n")
    git(inner, "add", "-A")
    git(inner, "commit", "-q", "-m", "one")
    commit(kept)
    folder, output = kept.path / "benchmarks", kept.path / ".terminalbench"
    assert unclean(folder, ignore=output) == []

    git(inner, "config", "core.fsmonitor", f"touch {tmp_path}/ran")
    (inner / "file").write_text("2\n")
    assert unclean(folder, ignore=output) == ["the submodule 'inner' is changed"]
    git(inner, "-c", "core.fsmonitor=false", "commit", "-qam", "two")
    assert unclean(folder, ignore=output) == ["the submodule 'inner' is at another commit"]
    assert not (tmp_path / "ran").exists()
    shutil.rmtree(inner / ".git")
    (said,) = unclean(folder, ignore=output)
    assert said == "the submodule 'inner' is not checked out, and its folder holds something"


class TestTheProject:
    """Its root is the repository's, wherever pytest takes its rootdir to be."""

    @pytest.fixture
    def approved(self, project: Project) -> Project:
        project.registry()
        project.scenario(file="bench/demo.scenario.yaml")
        commit(project)
        record = approve(project, project.run("bench"))
        assert project.run("bench").scenario()["baseline_id"] == record.baseline_id
        (project.path / "pytest.ini").unlink()
        project.file("bench/setup.py", "")
        project.file("bench/registry.json", (project.path / "registry.json").read_text())
        return project

    @pytest.mark.parametrize(
        ("folder", "arguments"), [("bench", ["."]), (".", ["bench"]), (".", []), ("/", ["{path}/bench"])]
    )
    def test_the_same_baselines_are_found_from_anywhere(
        self, approved: Project, monkeypatch: pytest.MonkeyPatch, folder: str, arguments: list[str]
    ) -> None:
        options = [f"--specbench-{name}" for name in ("sandbox=local", "approval-mode=full-access", "allow-dirty")]
        monkeypatch.chdir(approved.path / folder)

        ran = approved.run(*(one.format(path=approved.path) for one in arguments), *options)

        assert ran.judged() == ("pass", "verified")

    def test_paths_of_a_configuration_are_relative_to_it(self, approved: Project) -> None:
        (approved.path / "baselines").rename(approved.path / "bench" / "mine")
        approved.file("bench/pytest.ini", "[pytest]\nspecbench_baselines = mine\nspecbench_output = out\n")

        ran = approved.run(
            "bench", "--specbench-sandbox=local", "--specbench-approval-mode=full-access", "--specbench-allow-dirty"
        )

        assert ran.code == 0
        report = approved.path / "bench" / "out" / "latest" / "report.json"
        assert json.loads(report.read_text())["scenarios"][0]["status"] == "pass"

    def test_baselines_that_nobody_would_look_for_are_told(self, approved: Project) -> None:
        (approved.path / "baselines").rename(approved.path / "bench" / "baselines")

        ran = approved.run("bench", "--specbench-sandbox=local")

        assert ran.code == 4
        assert "specbench_baselines = baselines" in ran.err
