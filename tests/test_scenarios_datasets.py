"""Datasets: references, registry files in terminal-bench's format, and what belongs to a dataset."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from parity_support import git

from pytest_specbench.core.errors import DatasetError
from pytest_specbench.scenarios.datasets import Dataset, contains, resolve_dataset
from pytest_specbench.scenarios.loader import find_scenarios, load_scenario

ROW: dict[str, Any] = {
    "name": "demo",
    "version": "1.0",
    "terminal_bench_version": ">=0.2.18",
    "github_url": ".",
    "dataset_path": ".",
    "branch": "main",
    "commit_hash": "head",
}
SCENARIO = """\
scenario_id: {}
display_name: A
command_path: /a
owner_rotation: team
registry_version: demo==1.0
instruction: Do it
success_artifacts: [path: a]
"""


def registry(folder: Path, *rows: object, text: str | None = None) -> Path:
    path = folder / "registry.json"
    path.write_text(json.dumps(rows, indent=1) if text is None else text)
    return path


def resolve(folder: Path, reference: str = "demo==1.0") -> Dataset:
    return resolve_dataset(reference, registry=str(folder / "registry.json"), near=folder)


def error(folder: Path, reference: str = "demo==1.0") -> str:
    with pytest.raises(DatasetError) as caught:
        resolve(folder, reference)
    return str(caught.value)


@pytest.mark.parametrize("reference", ["demo==1.0", "demo@1.0", "demo"])
def test_a_registry_says_where_a_dataset_is(tmp_path: Path, reference: str) -> None:
    (tmp_path / "sets" / "demo").mkdir(parents=True)
    path = registry(tmp_path, {**ROW, "dataset_path": "sets/demo", "task_id_subset": ["a", "b"]})

    dataset = resolve(tmp_path, reference)

    assert (dataset.reference, dataset.name, dataset.version) == ("demo==1.0", "demo", "1.0")
    assert dataset.folder == (tmp_path / "sets" / "demo").resolve()
    assert dataset.scenario_ids == {"a", "b"}
    assert dataset.source == str(path)
    assert dataset.row is not None
    assert dataset.row.commit_hash == "head"


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        (["1.2", "1.10", "1.9"], "1.10"),
        (["1.0", "1.0.1"], "1.0.1"),
        (["2.0rc1", "2.0", "2.0b2"], "2.0"),
        (["v1", "v2"], "v2"),
        (["9.0", "head"], "head"),
    ],
)
def test_a_name_alone_is_its_newest_version_and_head_is_newest(
    tmp_path: Path, versions: list[str], newest: str
) -> None:
    registry(tmp_path, *({**ROW, "version": version} for version in versions))

    assert resolve(tmp_path, "demo").version == newest


def test_the_nearest_registry_is_taken_and_none_beyond_the_repository(tmp_path: Path) -> None:
    inner = tmp_path / "repository" / "benchmarks" / "deep"
    inner.mkdir(parents=True)
    registry(tmp_path, ROW)
    found = registry(tmp_path / "repository" / "benchmarks", ROW)
    assert resolve_dataset("demo", registry=None, near=inner / "a.scenario.yaml").folder == found.parent.resolve()

    found.unlink()
    assert resolve_dataset("demo", registry=None, near=inner).folder == tmp_path.resolve()

    (tmp_path / "repository" / ".git").mkdir()
    with pytest.raises(DatasetError, match="at or above"):
        resolve_dataset("demo", registry=None, near=inner)


def test_a_folder_is_a_dataset_without_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sets").mkdir()
    monkeypatch.chdir(tmp_path)

    for reference in ("sets", "./sets", str(tmp_path / "sets")):
        dataset = resolve_dataset(reference, registry=None, near=tmp_path)
        assert (dataset.reference, dataset.folder) == ("sets", (tmp_path / "sets").resolve())
    with pytest.raises(DatasetError, match="there is no folder"):
        resolve_dataset("./nowhere", registry=None, near=tmp_path)


def test_a_name_in_the_registry_goes_before_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "other").mkdir()
    registry(tmp_path, ROW)
    monkeypatch.chdir(tmp_path)

    assert resolve(tmp_path, "demo").version == "1.0"
    assert resolve(tmp_path, "./demo").version is None
    assert resolve(tmp_path, "other").folder == (tmp_path / "other").resolve()


def test_an_unknown_name_or_version_is_told_with_the_nearest_and_what_there_is(tmp_path: Path) -> None:
    path = registry(tmp_path, ROW, {**ROW, "version": "1.1"})

    assert error(tmp_path, "dmo==1.0") == (
        f"{path}: no dataset is called 'dmo'\n  expected: one of demo==1.0, demo==1.1; the nearest is 'demo'\n"
        "  next: add a row for it to the registry, or name another: --specbench-dataset=NAME==VERSION, "
        "--specbench-registry=PATH"
    )
    assert "'demo' has no version '1.2'" in error(tmp_path, "demo==1.2")
    assert "one of demo==1.0, demo==1.1; the nearest is '1" in error(tmp_path, "demo==1.2")
    assert "is no dataset" in error(tmp_path, "==1.0")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[\n{"name": "demo",\n]', "registry.json:3: is not JSON"),
        ("", "registry.json:1: is not JSON"),
        ('{"datasets": []}', "registry.json:1: is not a list of rows"),
        ("[\n1]", "registry.json:2: [0]: is not a mapping"),
        ("[[" * 10_000, "is not"),
        ('[{"name": "a", "name": "b"}]', "the key 'name' is there twice"),
        ("[NaN]", "NaN is no JSON"),
    ],
)
def test_a_corrupt_registry_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    registry(tmp_path, text=text)

    assert told in error(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": 3}, "registry.json:12: [1].name: is not text"),
        ({"name": "a b"}, "[1].name: 'a b' is no name"),
        ({"version": ""}, "[1].version: '' is no version"),
        ({"task_id_subset": "a"}, "[1].task_id_subset: is not a list of names"),
        (
            {"task_id_subsets": ["a"]},
            "[1].task_id_subsets: unknown key 'task_id_subsets'\n  expected: 'task_id_subset'",
        ),
        ({"version": "1.0"}, "registry.json:12: [1]: demo==1.0 is there twice; the other is at"),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_key(tmp_path: Path, change: dict[str, object], told: str) -> None:
    registry(tmp_path, {**ROW, "description": None}, {**ROW, "version": "2", **change})

    assert told in error(tmp_path)


@pytest.mark.parametrize("key", ROW)
def test_every_key_of_a_row_is_needed(tmp_path: Path, key: str) -> None:
    registry(tmp_path, {name: value for name, value in ROW.items() if name != key})

    assert f"[0].{key}: the key {key!r} is missing" in error(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dataset_path": "../x"}, "dataset_path: '../x' climbs out of '.'"),
        ({"dataset_path": "/etc"}, "dataset_path: '/etc' climbs out"),
        ({"dataset_path": "door"}, "dataset_path: 'door' climbs out"),
        ({"dataset_path": "nowhere"}, "dataset_path: there is no folder 'nowhere'"),
        ({"github_url": "../.."}, "github_url: '../..' climbs out of the repository"),
        ({"github_url": "https://example.invalid/x.git"}, "fetching datasets is not supported yet"),
        ({"github_url": "git@example.invalid:x.git"}, "fetching datasets is not supported yet"),
        ({"github_url": "/srv/x"}, "fetching datasets is not supported yet"),
    ],
)
def test_a_dataset_that_is_not_here_is_told(tmp_path: Path, change: dict[str, object], told: str) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "door").symlink_to("/etc")
    registry(folder, {**ROW, **change})

    assert told in error(folder)


def test_a_registry_below_the_root_may_name_the_whole_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "benchmarks").mkdir()
    registry(tmp_path / "benchmarks", {**ROW, "github_url": "..", "dataset_path": "benchmarks"})

    assert resolve(tmp_path / "benchmarks").folder == (tmp_path / "benchmarks").resolve()


def test_what_belongs_to_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in-not").mkdir()
    loaded = {}
    for folder, name in (("in", "a"), ("in/deep", "b"), ("in", "c"), ("in-not", "d")):
        path = tmp_path / folder / f"{name}.scenario.yaml"
        path.write_text(SCENARIO.format(name))
        loaded[name] = load_scenario(path)
    registry(tmp_path, {**ROW, "dataset_path": "in", "task_id_subset": ["a", "b", "d"]})

    dataset = resolve(tmp_path)
    folder_only = resolve_dataset(str(tmp_path / "in"), registry=None, near=tmp_path)

    assert [name for name, scenario in loaded.items() if contains(dataset, scenario)] == ["a", "b"]
    assert [name for name, scenario in loaded.items() if contains(folder_only, scenario)] == ["a", "b", "c"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serves `tmp_path` on loopback."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http_server.server_address[1]}"
        http_server.shutdown()
        thread.join()


def test_a_registry_may_be_a_url_but_its_relative_paths_are_not_here(tmp_path: Path, server: str) -> None:
    registry(tmp_path, ROW)

    with pytest.raises(DatasetError, match="fetching datasets is not supported yet"):
        resolve_dataset("demo", registry=f"{server}/registry.json", near=tmp_path)
    with pytest.raises(DatasetError, match="no dataset is called 'x'"):
        resolve_dataset("x", registry=f"{server}/registry.json", near=tmp_path)
    with pytest.raises(DatasetError, match="cannot be had"):
        resolve_dataset("demo", registry=f"{server}/nowhere.json", near=tmp_path)
    with pytest.raises(DatasetError, match="http or https"):
        resolve_dataset("demo", registry=f"file://{tmp_path}/registry.json", near=tmp_path)


def test_a_registry_that_is_not_there_is_told_with_its_path(tmp_path: Path) -> None:
    assert f"{tmp_path / 'registry.json'}: the registry cannot be read" in error(tmp_path)


REPOSITORY = Path(__file__).parent.parent / "benchmarks" / "registry.json"


def test_terminal_bench_reads_the_same_file_and_finds_the_same_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    client = pytest.importorskip("terminal_bench.registry.client")
    theirs = client.RegistryClient(local_registry_path=REPOSITORY).get_dataset("spec-kit-workflow", "0.1.0")

    ours = resolve_dataset("spec-kit-workflow==0.1.0", registry=str(REPOSITORY), near=REPOSITORY)

    assert ours.row is not None
    for key in (*ROW, "description"):
        assert getattr(ours.row, key) == getattr(theirs, key)
    assert ours.scenario_ids == set(theirs.task_id_subset) == {"specify", "plan", "tasks", "pipeline"}
    assert ours.folder == REPOSITORY.parent.resolve()
    assert theirs.is_compatible_with("0.2.18")


def test_the_dataset_of_this_repository_holds_all_of_its_scenarios() -> None:
    dataset = resolve_dataset("spec-kit-workflow==0.1.0", registry=str(REPOSITORY), near=REPOSITORY)
    loaded = [load_scenario(path) for path in find_scenarios([REPOSITORY.parent])]

    assert {each.scenario.scenario_id for each in loaded if contains(dataset, each)} == dataset.scenario_ids
    assert all(contains(dataset, each) for each in loaded)
    assert {each.scenario.registry_version for each in loaded} == {dataset.reference}
