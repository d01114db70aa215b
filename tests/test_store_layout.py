"""A trusted ref is laid out from git's objects, whatever the work tree, its attributes and its configuration say."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from scenario_files import scenario
from store_support import commit, git

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.store.trusted.changes import Changes, add, changes, listed
from pytest_specbench.store.trusted.layout import lay_out


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "bench").mkdir(parents=True)
    return folder


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "ref"
    folder.mkdir()
    return folder


def declare(path: Path, scenario_id: str, **content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(scenario(scenario_id, **content)))
    return path


def test_every_file_is_there_as_the_commit_has_it(top: Path, into: Path) -> None:
    (top / "bench" / "run.sh").write_text("#!/bin/sh\r\n")
    (top / "bench" / "run.sh").chmod(0o755)
    (top / "bench" / "odd \n name").write_bytes(bytes(range(256)))
    (top / "empty").touch()
    (top / "large").write_bytes(b"x" * 3_000_000)
    (top / "link").symlink_to("bench/run.sh")
    made = commit(top)
    for path in (top / "empty", top / "bench" / "run.sh"):
        path.write_text("changed since")

    paths = lay_out(top, made, into)

    assert paths == ["bench/odd \n name", "bench/run.sh", "empty", "large", "link"]
    assert (into / "bench" / "run.sh").read_bytes() == b"#!/bin/sh\r\n"
    assert os.access(into / "bench" / "run.sh", os.X_OK)
    assert not os.access(into / "empty", os.X_OK)
    assert (into / "bench" / "odd \n name").read_bytes() == bytes(range(256))
    assert (into / "large").stat().st_size == 3_000_000
    assert (into / "link").readlink() == Path("bench/run.sh")


def test_no_filter_of_the_repository_runs(top: Path, into: Path, tmp_path: Path) -> None:
    (top / ".gitattributes").write_text("*.txt filter=evil eol=crlf export-ignore\n")
    (top / "a.txt").write_text("as it is\n")
    made = commit(top)
    mark = tmp_path / "ran"
    git(top, "config", "filter.evil.smudge", f"touch {mark}; cat")
    git(top, "config", "filter.evil.required", "true")

    lay_out(top, made, into)

    assert (into / "a.txt").read_bytes() == b"as it is\n"
    assert not mark.exists()


def test_a_submodule_is_an_empty_folder(top: Path, into: Path) -> None:
    (top / "a").touch()
    made = commit(top)
    git(top, "update-index", "--add", "--cacheinfo", f"160000,{made},sub")
    git(top, "commit", "-q", "-m", "with a submodule")

    assert lay_out(top, git(top, "rev-parse", "HEAD").strip(), into) == ["a"]
    assert list((into / "sub").iterdir()) == []


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "damaged"])
def test_a_file_of_git_lfs_is_what_its_pointer_names_or_stays_the_pointer(
    top: Path, into: Path, *, damaged: bool
) -> None:
    content = b"the large file"
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    (top / "large.bin").write_text(pointer)
    made = commit(top)
    kept = top / ".git" / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"something else" if damaged else content)

    lay_out(top, made, into)

    assert (into / "large.bin").read_bytes() == (pointer.encode() if damaged else content)
    assert [path.name for path in into.iterdir()] == ["large.bin"]


def test_an_object_that_is_not_there_is_told_and_not_fetched(top: Path, into: Path) -> None:
    (top / "a").write_text("lost\n")
    made = commit(top)
    lost = git(top, "rev-parse", "HEAD:a").strip()
    (top / ".git" / "objects" / lost[:2] / lost[2:]).unlink()

    with pytest.raises(BlockedError, match=lost) as caught:
        lay_out(top, made, into)

    assert caught.value.cause is Cause.CONFIGURATION
    assert "--no-filter" in str(caught.value)


def test_a_path_that_leads_out_is_refused(top: Path, into: Path) -> None:
    (top / "a").write_text("x\n")
    commit(top)
    blob = git(top, "rev-parse", "HEAD:a").strip()
    entry = f"100644 {'..'}".encode() + b"\0" + bytes.fromhex(blob)
    made = subprocess.run(
        ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"],
        cwd=top, input=entry, check=True, capture_output=True,
    )  # fmt: skip
    tree = made.stdout.decode().strip()
    evil = git(top, "commit-tree", "-m", "evil", tree).strip()

    with pytest.raises(BlockedError, match="leads out"):
        lay_out(top, evil, into)

    assert list(into.iterdir()) == []


class TestChanges:
    @pytest.fixture
    def laid(self, top: Path, into: Path) -> list[str]:
        seed = {"seed": {"type": "files", "source": "../seed"}}
        declare(top / "bench" / "s.scenario.yaml", "s", fixtures=seed)
        fixtures = {
            "app": {"type": "files", "source": "app"},
            "agent": {"type": "files", "source": "../src"},
        }
        declare(top / "other" / "t.scenario.yaml", "t", subject=["agent", "fixtures"], fixtures=fixtures)
        names = ("bench/verify/check.sh", "other/app/main.py", "src/agent.py", "pytest.ini", "bench/conftest.py")
        for name in (*names, "seed/data.txt", "docs/text.md"):
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text("[pytest]\n")
        return lay_out(top, commit(top), into)

    def found(self, top: Path, into: Path, laid: list[str]) -> Changes:
        return changes(into, laid, top, "main", listed(top))

    def test_are_none_where_nothing_changed(self, top: Path, into: Path, laid: list[str]) -> None:
        assert self.found(top, into, laid) == Changes()

    def test_tell_of_what_judges_and_not_of_what_is_under_test(self, top: Path, into: Path, laid: list[str]) -> None:
        names = ("bench/verify/check.sh", "other/app/main.py", "src/agent.py", "pytest.ini")
        for name in (*names, "seed/data.txt", "docs/text.md"):
            (top / name).write_text("another")
        (top / "bench" / "conftest.py").unlink()
        (top / "bench" / "setup.py").touch()

        assert self.found(top, into, laid).altered == (
            "bench/conftest.py is removed; the one at main counts",
            "bench/verify/check.sh is changed; the one at main counts",
            "pytest.ini is changed; the one at main counts",
            "seed/data.txt is changed; the one at main counts",
            "bench/setup.py is added; nothing reads it before it is at main",
        )

    def test_a_file_that_became_a_link_is_changed(self, top: Path, into: Path, laid: list[str]) -> None:
        (top / "pytest.ini").rename(top / "as-it-was")
        (top / "pytest.ini").symlink_to("as-it-was")

        assert self.found(top, into, laid).altered == ("pytest.ini is changed; the one at main counts",)

    def test_a_new_scenario_is_added_and_a_moved_one_is_not(self, top: Path, into: Path, laid: list[str]) -> None:
        declare(top / "bench" / "deep" / "new.scenario.yaml", "new")
        (top / "bench" / "s.scenario.yaml").rename(top / "attic.scenario.yml")

        found = self.found(top, into, laid)

        assert found.added == ("bench/deep/new.scenario.yaml",)
        assert found.altered == (
            "bench/s.scenario.yaml is removed; the one at main counts",
            "attic.scenario.yml is added, with the id of bench/s.scenario.yaml; the one at main counts",
        )

    @pytest.mark.parametrize("there", ["", "bench/s.scenario.yaml", "registry.json"])
    def test_the_first_registry_comes_with_the_first_scenarios(self, top: Path, into: Path, there: str) -> None:
        if there:
            declare(top / there, "s")
        laid = lay_out(top, commit(top), into)
        declare(top / "bench" / "new.scenario.yaml", "new")
        (top / "bench" / "registry.json").write_text("[]")

        found = self.found(top, into, laid)

        assert found.added == ("bench/new.scenario.yaml",)
        assert found.registries == (() if there else ("bench/registry.json",))
        said = "bench/registry.json is added; nothing reads it before it is at main"
        assert found.altered == ((said,) if there else ())

    def test_one_in_what_a_scenario_of_the_ref_names_is_not_run(self, top: Path, into: Path, laid: list[str]) -> None:
        declare(top / "other" / "app" / "new.scenario.yaml", "new")
        declare(top / "odd\x1b.scenario.yaml", "odd")

        found = self.found(top, into, laid)

        assert found.added == ()
        assert found.altered == (
            "odd\\x1b.scenario.yaml is added, and is not run: its name cannot be shown",
            "other/app/new.scenario.yaml is added, and is not run: it lies in what other/t.scenario.yaml names",
        )

    def test_a_name_that_is_not_utf_8_is_told(self, top: Path, into: Path) -> None:
        path = Path(os.fsdecode(bytes(top / "bench") + b"/f\xff.txt"))
        path.write_text("1")
        declare(top / "bench" / "s.scenario.yaml", "s")
        laid = lay_out(top, commit(top), into)
        path.write_text("2")

        (sentence,) = self.found(top, into, laid).altered
        assert sentence.encode("ascii").endswith(b" is changed; the one at main counts")

    def test_what_is_added_is_copied_and_replaces_nothing(self, top: Path, into: Path, laid: list[str]) -> None:
        elsewhere = into.parent / "elsewhere"
        elsewhere.mkdir()
        (into / "led").symlink_to(elsewhere)
        for name in ("led/a.scenario.yaml", "bench/conftest.py/b.scenario.yaml", "fine/c.scenario.yaml"):
            if name.startswith("bench"):
                (top / "bench" / "conftest.py").unlink()
            declare(top / name, "x")
        (top / "l.scenario.yaml").symlink_to("fine/c.scenario.yaml")
        (top / "bench" / "s.scenario.yaml").write_text("x")
        added = ["led/a.scenario.yaml", "bench/conftest.py/b.scenario.yaml", "fine/c.scenario.yaml"]

        done = add(into, top, [*added, "l.scenario.yaml", "bench/s.scenario.yaml"])

        assert done.added == ("fine/c.scenario.yaml",)
        assert len(done.altered) == 4
        assert list(elsewhere.iterdir()) == []
        assert "scenario_id: s" in (into / "bench" / "s.scenario.yaml").read_text()
        assert laid
