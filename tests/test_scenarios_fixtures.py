"""Fixtures as archives and commands: the same content every time, made by the real Spec Kit and the real git."""

from __future__ import annotations

import importlib.metadata
import io
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from pytest_specbench.core.errors import BlockedError, InfrastructureError, ScenarioError
from pytest_specbench.core.status import Cause
from pytest_specbench.scenarios import spec_kit
from pytest_specbench.scenarios.fixtures import FixtureContent, materialise
from pytest_specbench.scenarios.loader import LoadedScenario, load_scenario

SCENARIO = """\
scenario_id: a
display_name: A
command_path: /a
owner_rotation: team
registry_version: demo==1.0
instruction: Do it
success_artifacts: [path: a]
prerequisites: [{0}]
fixtures:
  {0}: {1}
"""


def load(folder: Path, name: str, fixture: str) -> LoadedScenario:
    path = folder / "a.scenario.yaml"
    path.write_text(SCENARIO.format(name, fixture))
    return load_scenario(path)


def unpack(content: FixtureContent, folder: Path) -> Path:
    """What a sandbox does with a fixture: unpack, then run the commands."""
    target = folder / content.target
    target.mkdir(parents=True, exist_ok=True)
    if content.archive is not None:
        with tarfile.open(fileobj=io.BytesIO(content.archive)) as tar:
            tar.extractall(target, filter="data")
    for command in content.commands:
        subprocess.run(command, cwd=folder, check=True, timeout=30)
    return target


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "safe.directory=*", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_files_are_copied_with_their_executable_bits(tmp_path: Path) -> None:
    (tmp_path / "tree" / "bin").mkdir(parents=True)
    (tmp_path / "tree" / "bin" / "run").write_text("#!/bin/sh\n")
    (tmp_path / "tree" / "bin" / "run").chmod(0o755)
    (tmp_path / "tree" / "note").write_text("x")
    loaded = load(tmp_path, "tree", "{type: files, source: tree, target: a/b}")

    content = materialise(loaded, "tree")
    target = unpack(content, tmp_path / "work")

    assert target == tmp_path / "work" / "a" / "b"
    assert (target / "bin" / "run").stat().st_mode & 0o777 == 0o755
    assert (target / "note").stat().st_mode & 0o777 == 0o644
    assert content.record["type"] == "files"
    assert str(content.record["content"]).startswith("sha256:")
    assert materialise(loaded, "tree") == content


def test_a_single_file_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("x")

    content = materialise(load(tmp_path, "note", "{type: files, source: note.md}"), "note")

    assert (unpack(content, tmp_path / "work") / "note.md").read_text() == "x"


def test_files_may_come_from_anywhere_inside_the_repository(tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "benchmarks" / "deep"
    agent = tmp_path / "repository" / "agent"
    for place in (folder, agent / "src", agent / ".git", agent / "__pycache__"):
        place.mkdir(parents=True)
        (place / "main.py").write_text("x")
    git(tmp_path / "repository", "init", "-q")

    content = materialise(load(folder, "agent", "{type: files, source: ../../agent}"), "agent")

    found = unpack(content, tmp_path / "work")
    assert [path.relative_to(found).as_posix() for path in found.rglob("*.py")] == ["src/main.py"]
    assert content.record["source"] == "../../agent"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("../../outside", "outside of the scenario's repository"),
        ("../../../../../../../../../../../../etc/passwd", "outside of the scenario's repository"),
        ("../link", "through a symbolic link"),
        ("../door/outside", "through a symbolic link"),
        ("../.git/config", "in git's own folder"),
        ("../.GIT/config", "in git's own folder"),
        ("../../repository/benchmarks", "outside of the scenario's repository"),
        ("../benchmarks", "holds the scenario itself"),
        ("../.", "holds the scenario itself"),
        ("../benchmark", "the nearest is 'benchmarks'"),
        ("..", "a relative path"),
        ("../../..", "a relative path"),
        ("agent/../../outside", "a relative path"),
    ],
)
def test_files_come_from_nowhere_else(tmp_path: Path, source: str, told: str) -> None:
    folder = tmp_path / "repository" / "benchmarks"
    (folder / "agent").mkdir(parents=True)
    (tmp_path / "outside").write_text("x")
    (tmp_path / "repository" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "repository" / "door").symlink_to(tmp_path)
    git(tmp_path / "repository", "init", "-q")

    with pytest.raises(ScenarioError) as error:
        load(folder, "agent", f"{{type: files, source: {source}}}")

    assert "fixtures.agent.source" in str(error.value)
    assert told in str(error.value)


def test_what_is_missing_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("x")
    loaded = load(tmp_path, "note", "{type: files, source: note.md}")
    (tmp_path / "note.md").unlink()

    with pytest.raises(ScenarioError, match=r"a\.scenario\.yaml:10: fixtures\.note\.source: there is no"):
        materialise(loaded, "note")
    with pytest.raises(ScenarioError, match="the nearest is 'note'"):
        materialise(loaded, "nte")


def test_a_git_repository_has_the_same_commit_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = materialise(load(tmp_path, "repo", "{type: git, target: r, branch: feature/x}"), "repo")
    commits = set()
    for name, variables in {"one": {}, "two": {"GIT_AUTHOR_NAME": "x", "TZ": "Asia/Tokyo", "GIT_DIR": "/x"}}.items():
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        folder = tmp_path / name / "r"
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text("ignored\n")
        (folder / "ignored").write_text("still in\n")
        (folder / "ünï").write_text("x")
        unpack(content, tmp_path / name)
        monkeypatch.delenv("GIT_DIR", raising=False)
        commits.add(git(folder, "rev-parse", "HEAD"))
        assert git(folder, "branch", "--show-current") == "feature/x"
        assert git(folder, "status", "--porcelain", "--ignored") == ""
        assert "ignored" in git(folder, "ls-files").split()

    assert len(commits) == 1


def test_a_repository_of_nothing_has_a_commit_too(tmp_path: Path) -> None:
    content = materialise(load(tmp_path, "repo", "{type: git}"), "repo")

    assert git(unpack(content, tmp_path / "work"), "rev-list", "--count", "HEAD") == "1"
    with pytest.raises(subprocess.CalledProcessError):
        unpack(content, tmp_path / "work")


@pytest.fixture
def kit(tmp_path: Path) -> LoadedScenario:
    pytest.importorskip("specify_cli", reason="needs the spec-kit extra")
    return load(tmp_path, "kit", "{type: spec-kit}")


def test_spec_kit_makes_the_same_tree_every_time(kit: LoadedScenario, tmp_path: Path) -> None:
    first = materialise(kit, "kit", cache=tmp_path / "one")
    again = materialise(kit, "kit", cache=tmp_path / "two")
    tree = unpack(first, tmp_path / "work")

    assert first == again
    assert first.record["version"] == importlib.metadata.version("specify-cli")
    assert (tree / ".specify" / "templates" / "spec-template.md").is_file()
    assert (tree / ".agent" / "commands" / "speckit.specify.md").is_file()
    assert (tree / ".specify" / "scripts" / "bash" / "create-new-feature.sh").stat().st_mode & 0o100
    everything = b"".join(path.read_bytes() for path in tree.rglob("*") if path.is_file())
    assert b"specbench-" not in everything
    assert str(Path.home()).encode() + b"/" not in everything


def test_the_cache_is_used_and_a_tampered_one_is_made_anew(
    kit: LoadedScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    content = materialise(kit, "kit", cache=cache)
    (kept,) = cache.glob("*.tar")
    whole = kept.read_bytes()

    for damaged in (whole[:-600] + b"x" + whole[-599:], whole[:5000], b""):
        kept.write_bytes(damaged)
        assert materialise(kit, "kit", cache=cache) == content
        assert kept.read_bytes() == whole

    monkeypatch.setattr(spec_kit, "_COMMAND", (sys.executable, "-c", "raise SystemExit(1)"))
    assert materialise(kit, "kit", cache=cache) == content
    assert sorted(path.suffix for path in cache.iterdir()) in ([".lock", ".tar"], [".tar"])


def test_many_may_ask_at_a_time(kit: LoadedScenario, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: materialise(kit, "kit", cache=tmp_path / "cache"), range(3)))

    assert made[0] == made[1] == made[2]


def test_without_a_usable_cache_it_works_all_the_same(kit: LoadedScenario, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    assert materialise(kit, "kit", cache=tmp_path / "file" / "cache").archive


def test_a_spec_kit_of_another_version_blocks(kit: LoadedScenario, tmp_path: Path) -> None:
    other = load(tmp_path, "kit", "{type: spec-kit, version: 0.0.1}")

    with pytest.raises(BlockedError) as caught:
        materialise(other, "kit", cache=tmp_path)
    assert caught.value.cause is Cause.DEPENDENCY_MISSING
    assert caught.value.hint == "pip install 'specify-cli==0.0.1'"
    assert str(caught.value.where).endswith("a.scenario.yaml:10: fixtures.kit")


def test_a_missing_spec_kit_blocks_and_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(tmp_path, "kit", "{type: spec-kit}")
    monkeypatch.setattr(spec_kit, "PACKAGE", "specify-cli-that-nobody-has")

    with pytest.raises(BlockedError) as caught:
        materialise(loaded, "kit", cache=tmp_path)
    assert caught.value.cause is Cause.DEPENDENCY_MISSING
    assert caught.value.hint == "pip install 'pytest-specbench[spec-kit]'"


@pytest.mark.parametrize(
    ("program", "told"),
    [("print('no'); raise SystemExit(3)", "specify init exited 3: no"), ("pass", "made no usable tree")],
)
def test_a_spec_kit_that_fails_is_nobodys_score(
    kit: LoadedScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, told: str
) -> None:
    monkeypatch.setattr(spec_kit, "_COMMAND", (sys.executable, "-c", program))

    with pytest.raises(InfrastructureError, match=told) as caught:
        materialise(kit, "kit", cache=tmp_path / "cache")
    assert caught.value.cause is Cause.SETUP_FAILED
    assert not list((tmp_path / "cache").glob("*.tar"))


def test_a_spec_kit_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = ["sh", "-c", f"sleep 600 & echo $! >{started}; wait"]

    with pytest.raises(InfrastructureError, match="did not end within"):
        spec_kit._run(command, tmp_path, {}, deadline_sec=1)

    _, alive = psutil.wait_procs(of(int(started.read_text())), timeout=10)
    assert not alive


def of(pid: int) -> list[psutil.Process]:
    """The process, unless it is gone, or dead and waiting for whoever reaps it."""
    try:
        process = psutil.Process(pid)
        return [] if process.status() == psutil.STATUS_ZOMBIE else [process]
    except psutil.NoSuchProcess:
        return []
