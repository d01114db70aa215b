"""What ran must be found again: the repository holds it, or somebody acknowledged that it does not."""

from __future__ import annotations

import os

import pytest
from parity_support import commit, git
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
