"""git is asked of the repository that holds a folder, and nothing in a work tree decides which that is or what runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_support import commit, git

from pytest_specbench.core.git import git as ask
from pytest_specbench.core.git import repository_of


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "outer"
    (folder / "bench").mkdir(parents=True)
    (folder / "bench" / "file").write_text("1\n")
    commit(folder)
    return folder


def bare_lookalike(folder: Path, program: Path) -> None:
    """Ordinary files that make a folder look like a bare repository whose configuration runs a program."""
    for name in ("objects/.keep", "refs/heads/.keep"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "config").write_text(f'[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfsmonitor = "{program}"\n')


def test_the_nearest_top_is_found_from_anywhere_in_it(top: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(top / "bench")

    assert [repository_of(one) for one in (top, top / "bench", top / "bench" / "none", link)] == [top] * 4
    assert repository_of(tmp_path) is None


def test_ordinary_files_that_look_like_a_bare_repository_are_none(top: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    bare_lookalike(top / "bench", program)
    commit(top)

    head = ask(top / "bench", "rev-parse", "HEAD").out.decode().strip()
    assert ask(top / "bench", "status", "--porcelain").code == 0
    assert head == git(top, "rev-parse", "HEAD").strip()
    assert repository_of(top / "bench") == top
    assert not mark.exists()


def test_a_folder_that_may_not_be_entered_is_no_repository(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "not for you", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)

    assert repository_of(top) is None


def test_without_git_the_nearest_is_taken(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(top / "bench", "init", "-q")
    monkeypatch.setenv("PATH", "/nonexistent")

    assert repository_of(top / "bench") == top / "bench"


def test_a_repository_among_tracked_files_is_none(top: Path) -> None:
    git(top / "bench", "init", "-q")

    assert repository_of(top / "bench") == top


def test_one_that_the_outer_one_does_not_track_is(top: Path) -> None:
    inner = top / "scratch"
    inner.mkdir()
    git(inner, "init", "-q")

    assert repository_of(inner) == inner


def test_a_submodule_is(top: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("2\n")
    commit(other)
    git(top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "sub")
    commit(top)

    assert repository_of(top / "sub") == top / "sub"


@pytest.mark.parametrize("setting", ["core.fsmonitor", "core.hooksPath"])
def test_no_program_that_a_repository_names_is_run(top: Path, tmp_path: Path, setting: str) -> None:
    mark, programs = tmp_path / "ran", tmp_path / "programs"
    programs.mkdir()
    for name in ("program", "post-index-change", "query-watchman"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (programs / name).chmod(0o755)
    git(top, "config", setting, str(programs / "program" if setting == "core.fsmonitor" else programs))
    (top / "bench" / "file").touch()

    assert ask(top, "status", "--porcelain").code == 0
    assert not mark.exists()


def test_variables_that_lead_elsewhere_are_dropped_and_who_somebody_is_stays(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.email")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "mara@example.org")

    assert ask(top, "rev-parse", "--verify", "HEAD").code == 0
    assert ask(top, "config", "--get", "user.email").out == b"mara@example.org\n"
    assert ask(tmp_path, "config", "--get", "user.email").out == b"mara@example.org\n"
    assert ask(tmp_path, "rev-parse", "HEAD").code != 0
