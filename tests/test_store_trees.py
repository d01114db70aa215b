"""Trees of files: a folder and a git ref give the same, and refuse what is no plain file."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest
from store_support import commit, git

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.store.trees import MAX_BYTES, FolderTree, GitTree, OverlayTree, Tree


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository whose folder `baselines` holds a few files."""
    root = tmp_path / "baselines"
    for name, text in {
        "a/one.json": "1",
        "a/two.json": "2",
        "a/deep/er": "3",
        "b/ünï cödé\t.json": "4",
        "top": "",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(params=["folder", "git"])
def tree(request: pytest.FixtureRequest, folder: Path) -> Tree:
    if request.param == "folder":
        return FolderTree(folder)
    commit(folder.parent)
    for path in list(folder.rglob("*.json")):
        path.write_text("changed since")
    return GitTree(folder.parent, "main", "baselines")


def refused(tree: Tree, path: str) -> str:
    with pytest.raises(BlockedError) as caught:
        tree.read(path)
    assert caught.value.cause is Cause.BASELINE_INVALID
    return str(caught.value)


class TestBothKinds:
    def test_list_names_sorted(self, tree: Tree) -> None:
        assert tree.names() == ["a", "b", "top"]
        assert tree.names("a") == ["deep", "one.json", "two.json"]
        assert tree.names("a/deep") == ["er"]
        assert tree.names("b") == ["ünï cödé\t.json"]

    def test_read_bytes(self, tree: Tree) -> None:
        assert [tree.read(name) for name in ("a/one.json", "a/two.json", "a/deep/er", "top")] == [b"1", b"2", b"3", b""]
        assert tree.read("b/ünï cödé\t.json") == b"4"

    def test_have_nothing_where_there_is_nothing(self, tree: Tree) -> None:
        assert tree.names("gone") == []
        assert tree.names("gone/deeper") == []
        assert tree.read("gone") is None
        assert tree.read("gone/deeper.json") is None

    def test_refuse_a_folder_as_file_and_a_file_as_folder(self, tree: Tree) -> None:
        assert "no regular file" in refused(tree, "a/deep")
        assert "no folder" in refused(tree, "top/x")
        with pytest.raises(BlockedError, match="no folder"):
            tree.names("top")


@pytest.mark.parametrize("kind", ["folder", "git"])
def test_links_are_refused_wherever_they_lead(folder: Path, kind: str) -> None:
    (folder / "link.json").symlink_to("top")
    (folder / "linked").symlink_to("a")
    commit(folder.parent)
    tree: Tree = FolderTree(folder) if kind == "folder" else GitTree(folder.parent, "main", "baselines")

    assert "no regular file" in refused(tree, "link.json")
    assert "no folder" in refused(tree, "linked/one.json")
    with pytest.raises(BlockedError, match="no folder"):
        tree.names("linked")


@pytest.mark.parametrize("kind", ["folder", "git"])
def test_what_is_too_large_is_refused_unread(folder: Path, kind: str) -> None:
    with (folder / "large").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    commit(folder.parent)
    tree: Tree = FolderTree(folder) if kind == "folder" else GitTree(folder.parent, "main", "baselines")

    assert "larger than" in refused(tree, "large")


class TestAFolder:
    def test_that_is_asked_for_must_be_there(self, tmp_path: Path) -> None:
        assert FolderTree(tmp_path / "gone").names() == []
        with pytest.raises(BlockedError, match="there is no such folder"):
            FolderTree(tmp_path / "gone", required=True).names()

    def test_may_itself_be_reached_by_a_link(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("baselines")

        assert FolderTree(tmp_path / "link").read("a/one.json") == b"1"

    def test_reads_no_pipe(self, folder: Path) -> None:
        os.mkfifo(folder / "pipe")

        assert "no regular file" in refused(FolderTree(folder), "pipe")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_that_may_not_be_read_blocks(self, folder: Path) -> None:
        (folder / "top").chmod(0)

        assert os.strerror(errno.EACCES) in refused(FolderTree(folder), "top")


class TestAGitRef:
    @pytest.mark.parametrize("ref", ["gone", "", "-h", "--all", "main:baselines", "main..gone", "HEAD^{tree}"])
    def test_that_names_no_commit_is_a_wrong_setting(self, folder: Path, ref: str) -> None:
        commit(folder.parent)

        with pytest.raises(BlockedError) as caught:
            GitTree(folder.parent, ref, "baselines")

        assert caught.value.cause is Cause.CONFIGURATION
        assert repr(ref) in str(caught.value)

    @pytest.mark.parametrize(
        ("other", "ref"),
        [
            ("refs/tags/main", "main"),
            ("refs/tags/main", "main~0"),
            ("refs/tags/main", "main^{commit}"),
            ("refs/tags/main", "main@{0}"),
            ("refs/remotes/main/HEAD", "main"),
            ("refs/main", "main"),
            ("refs/heads/HEAD", "HEAD"),
            ("refs/tags/ID", "ID"),
            ("refs/tags/SHORT", "SHORT"),
            ("refs/tags/UPPER", "UPPER"),
        ],
    )
    def test_that_could_be_two_is_a_wrong_setting(self, folder: Path, other: str, ref: str) -> None:
        first = commit(folder.parent)
        ids = {"ID": first, "SHORT": first[:10], "UPPER": first[:10].upper()}
        other, ref = (re.sub("ID|SHORT|UPPER", lambda found: ids[found[0]], name) for name in (other, ref))
        git(folder.parent, "update-ref", other, first)

        with pytest.raises(BlockedError, match=f"ambiguous: it could be .*{other}"):
            GitTree(folder.parent, ref, "baselines")
        assert GitTree(folder.parent, "refs/heads/main", "baselines").names()

    @pytest.mark.parametrize("name", ["main", "origin/main"])
    def test_that_a_file_of_git_stands_for_too_is_a_wrong_setting(self, folder: Path, name: str) -> None:
        """git takes `.git/main` before any branch."""
        first = commit(folder.parent)
        git(folder.parent, "update-ref", "refs/remotes/origin/main", first)
        (folder / "later").touch()
        file = folder.parent / ".git" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{commit(folder.parent)}\n")

        with pytest.raises(BlockedError) as caught:
            GitTree(folder.parent, name, "baselines")

        assert caught.value.cause is Cause.CONFIGURATION

    @pytest.mark.parametrize("ref", ["main", "HEAD", "HEAD~0", "@", "heads/main", "origin", "a@b", "ID", "SHORT"])
    def test_that_is_one_commit_is_taken_however_it_is_written(self, folder: Path, ref: str) -> None:
        first = commit(folder.parent)
        git(folder.parent, "update-ref", "refs/heads/a@b", first)
        git(folder.parent, "update-ref", "refs/remotes/origin/main", first)
        git(folder.parent, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")

        ref = ref.replace("ID", first).replace("SHORT", first[:10])
        assert GitTree(folder.parent, ref, "baselines").commit == first

    def test_without_a_repository_is_a_wrong_setting(self, tmp_path: Path) -> None:
        with pytest.raises(BlockedError) as caught:
            GitTree(tmp_path, "main", "baselines")

        assert caught.value.cause is Cause.CONFIGURATION

    def test_is_resolved_once(self, folder: Path) -> None:
        commit(folder.parent)
        tree = GitTree(folder.parent, "main", "baselines")
        (folder / "later").touch()
        commit(folder.parent)

        assert "later" not in tree.names()
        assert "later" in GitTree(folder.parent, "main", "baselines").names()

    def test_says_folder_and_ref(self, folder: Path) -> None:
        commit(folder.parent)

        assert GitTree(folder.parent, "main", "baselines").label == "baselines at main"
        assert GitTree(folder.parent, "main", "").read("baselines/a/one.json") == b"1"

    def test_holds_only_its_folder(self, folder: Path) -> None:
        (folder.parent / "baselines-too").mkdir()
        (folder.parent / "baselines-too" / "x").touch()
        commit(folder.parent)

        assert GitTree(folder.parent, "main", "baselines").names() == ["a", "b", "top"]
        assert GitTree(folder.parent, "main", "base*").names() == []
        assert GitTree(folder.parent, "main", "baselines/a").names() == ["deep", "one.json", "two.json"]

    def test_is_read_past_the_environment_and_replaced_objects(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = commit(folder.parent)
        (folder / "a" / "one.json").write_text("evil")
        second = commit(folder.parent)
        git(folder.parent, "replace", first, second)
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
        monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")

        assert GitTree(folder.parent, first, "baselines").read("a/one.json") == b"1"

    def test_with_a_submodule_in_the_place_of_a_file_blocks(self, folder: Path, tmp_path: Path) -> None:
        head = commit(folder.parent)
        git(folder.parent, "update-index", "--add", "--cacheinfo", f"160000,{head},baselines/sub")
        git(folder.parent, "commit", "-q", "-m", "a submodule")
        tree = GitTree(folder.parent, "main", "baselines")

        assert "no regular file" in refused(tree, "sub")
        assert "no folder" in refused(tree, "sub/x")


def test_an_overlay_adds_only_what_it_names_and_replaces_nothing(tmp_path: Path) -> None:
    for root, files in {
        "base": {"a/1": "base"},
        "other": {"a/1": "other", "a/2": "new", "a/3": "hidden", "b/4": "new"},
    }.items():
        for name, text in files.items():
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    tree = OverlayTree(FolderTree(tmp_path / "base"), FolderTree(tmp_path / "other"), {"a/1", "a/2", "b/4", "c/5"})

    assert tree.names() == ["a", "b", "c"]
    assert tree.names("a") == ["1", "2"]
    assert [tree.read(f"a/{number}") for number in (1, 2, 3)] == [b"base", b"new", None]
    assert tree.read("b/4") == b"new"
    assert tree.read("c/5") is None
