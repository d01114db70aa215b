"""From which branches incidents are opened: as the CI service says, else as git does; what is unknown opens nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from incident_support import desk, failing, git

from pytest_specbench.incidents.branches import place_of, why_not


def verdict(root: Path, *configured: str, **environ: str) -> str | None:
    return why_not(configured, place_of(root, environ))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository on `main` that was cloned from one whose default branch is `main`."""
    origin = tmp_path / "origin"
    origin.mkdir()
    desk(origin)
    git(tmp_path, "clone", "-q", str(origin), "clone")
    return tmp_path / "clone"


class TestGit:
    def test_the_default_branch_of_the_remote(self, repository: Path) -> None:
        assert verdict(repository) is None

    def test_another_branch(self, repository: Path) -> None:
        git(repository, "switch", "-q", "-c", "feature/x")
        assert verdict(repository) == "branch 'feature/x' is not the default branch 'main'"

    def test_a_remote_whose_default_branch_has_another_name(self, repository: Path) -> None:
        git(repository.parent / "origin", "branch", "-m", "trunk")
        git(repository, "fetch", "-q")
        git(repository, "remote", "set-head", "origin", "--auto")
        assert verdict(repository) == "branch 'main' is not the default branch 'trunk'"

    def test_a_remote_whose_default_branch_is_not_known(self, repository: Path) -> None:
        git(repository, "remote", "set-head", "origin", "--delete")
        assert "git remote set-head origin --auto" in (verdict(repository) or "")

    def test_a_detached_head(self, repository: Path) -> None:
        git(repository, "checkout", "-q", "--detach")
        assert "detached HEAD" in (verdict(repository) or "")
        assert "detached HEAD" in (verdict(repository, "*") or "")

    @pytest.mark.parametrize("name", ["main", "master"])
    def test_a_repository_without_a_remote(self, tmp_path: Path, name: str) -> None:
        desk(tmp_path)
        git(tmp_path, "branch", "-m", name)
        assert verdict(tmp_path) is None

    def test_init_default_branch_counts_where_there_is_no_remote(self, tmp_path: Path) -> None:
        desk(tmp_path)
        git(tmp_path, "branch", "-m", "trunk")
        assert verdict(tmp_path) is not None
        git(tmp_path, "config", "init.defaultBranch", "trunk")
        assert verdict(tmp_path) is None

    def test_no_repository(self, tmp_path: Path) -> None:
        assert "no git repository" in (verdict(tmp_path) or "")

    def test_the_environment_of_a_hook_does_not_lead_elsewhere(
        self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "origin" / ".git"))
        git(repository, "--git-dir=.git", "switch", "-q", "-c", "feature")
        assert "feature" in (verdict(repository) or "")


class TestConfigured:
    def test_names_and_globs(self, repository: Path) -> None:
        git(repository, "switch", "-q", "-c", "release/1.2")
        assert verdict(repository, "main", "release/*") is None
        assert verdict(repository, "main", "develop") == "branch 'release/1.2' is none of main, develop"

    def test_the_default_branch_is_then_no_exception(self, repository: Path) -> None:
        assert verdict(repository, "develop") == "branch 'main' is none of develop"


class TestGitHub:
    def test_a_push_to_the_default_branch(self, tmp_path: Path) -> None:
        event = tmp_path / "event.json"
        event.write_text(json.dumps({"repository": {"default_branch": "trunk"}}), "utf-8")
        path = str(event)
        assert verdict(tmp_path, GITHUB_REF_NAME="trunk", GITHUB_EVENT_PATH=path) is None
        assert verdict(tmp_path, GITHUB_REF_NAME="main", GITHUB_EVENT_PATH=path) is not None

    def test_a_schedule_runs_on_the_default_branch(self, tmp_path: Path) -> None:
        assert verdict(tmp_path, GITHUB_REF_NAME="trunk", GITHUB_EVENT_NAME="schedule") is None

    @pytest.mark.parametrize("content", [None, "", "[]", '{"repository": 3}', '{"repository": {}}', "[" * 100_000])
    def test_an_event_that_cannot_be_read_opens_nothing(self, tmp_path: Path, content: str | None) -> None:
        event = tmp_path / "event.json"
        if content is not None:
            event.write_text(content, "utf-8")
        why = verdict(tmp_path, GITHUB_REF_NAME="main", GITHUB_EVENT_PATH=str(event))
        assert "the default branch is not known" in (why or "")

    def test_gits_default_branch_where_the_event_names_none(self, repository: Path) -> None:
        assert verdict(repository, GITHUB_REF_NAME="main") is None
        assert verdict(repository, GITHUB_REF_NAME="feature") is not None

    def test_a_pull_request_never_even_when_its_head_is_called_like_the_default_branch(self, repository: Path) -> None:
        for environ in (
            {"GITHUB_REF_NAME": "7/merge", "GITHUB_HEAD_REF": "main"},
            {"GITHUB_REF_NAME": "main", "GITHUB_EVENT_NAME": "pull_request_target"},
        ):
            assert "pull request" in (verdict(repository, **environ) or "")
            assert "pull request" in (verdict(repository, "*", **environ) or "")

    def test_a_tag_that_is_called_like_the_default_branch(self, repository: Path) -> None:
        assert "tag 'main'" in (verdict(repository, GITHUB_REF_NAME="main", GITHUB_REF_TYPE="tag") or "")


class TestGitLab:
    def test_the_default_branch(self, tmp_path: Path) -> None:
        environ = {"CI_COMMIT_REF_NAME": "trunk", "CI_COMMIT_BRANCH": "trunk", "CI_DEFAULT_BRANCH": "trunk"}
        assert verdict(tmp_path, **environ) is None
        assert verdict(tmp_path, **environ | {"CI_COMMIT_BRANCH": "feature"}) is not None

    def test_a_merge_request(self, tmp_path: Path) -> None:
        environ = {"CI_COMMIT_REF_NAME": "main", "CI_DEFAULT_BRANCH": "main", "CI_MERGE_REQUEST_IID": "7"}
        assert "merge request" in (verdict(tmp_path, "*", **environ) or "")

    def test_a_tag(self, tmp_path: Path) -> None:
        assert "no branch" in (verdict(tmp_path, CI_COMMIT_REF_NAME="main", CI_DEFAULT_BRANCH="main") or "")


def test_on_another_branch_nobody_is_told_and_the_report_says_so(tmp_path: Path) -> None:
    here = desk(tmp_path)
    git(tmp_path, "switch", "-q", "-c", "feature")

    (row,) = here.ends(failing())

    assert (row.scenario_id, row.action, row.channel) == ("plan", "suppressed", None)
    assert row.reason == "branch 'feature' is not the default branch 'main'"
    assert not (here.output / "incidents").exists()
