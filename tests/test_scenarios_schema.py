"""The JSON Schema that ships, and that it says yes and no to the same documents as the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_specbench.core.errors import ScenarioError
from pytest_specbench.scenarios.loader import load_scenario
from pytest_specbench.scenarios.schema import scenario_schema, schema_text, shipped_schema

VALID: dict[str, Any] = {
    "scenario_id": "a.b-c_1",
    "display_name": "A",
    "command_path": "/specify -> /plan",
    "owner_rotation": "team",
    "registry_version": "demo==1.0",
    "instruction": "Do it",
    "success_artifacts": [{"path": "specs/*/spec.md", "check": "json"}],
}
COMPLETE: dict[str, Any] = {
    **VALID,
    "prerequisites": ["tree", "kit", "repo"],
    "metrics_tracked": ["runtime", "success"],
    "subject": ["agent", "model"],
    "runner": {
        "image": "debian:12",
        "pin": "recipe",
        "cpus": 0.5,
        "memory_mb": 64,
        "pids": 64,
        "network": {"agent": "bridge"},
        "workdir": "/w",
        "user": "a:b",
    },
    "agent": {"name": "command", "options": {"command": "ls", "n": 1, "x": 1.5, "y": True, "z": None}},
    "model": {
        "name": "openai/x",
        "api_base": "http://127.0.0.1:1",
        "parameters": {"temperature": 0},
        "request_timeout_sec": 1,
        "retries": 0,
        "prices": {"input": 1, "output": 2.5, "cached": None},
    },
    "approval_mode": "trusted",
    "allow": {"commands": ["git *"], "deny": ["rm *"]},
    "deadlines": {"setup_sec": 1, "agent_sec": 2.5, "verification_sec": 3, "teardown_sec": 4},
    "limits": {"steps": 1, "tokens": None, "cost_usd": 0.5, "command_sec": 1},
    "provisional": True,
    "success": {"min_rate": 0.8, "trials": 10},
    "thresholds": {"runtime": 15, "peak_memory_mb": 20.5},
    "fixtures": {
        "tree": {"type": "files", "source": "tree", "target": "a/b"},
        "kit": {"type": "spec-kit", "version": "1.2.3"},
        "repo": {"type": "git", "branch": "feature/x"},
    },
    "verification": {"command": "true", "files": "tree", "target": "v"},
    "solution": "solve.sh",
    "environment": {"A_1": "x"},
    "secrets": ["KEY"],
    "terminal_size": [80, 24],
}
NETWORKS = {"none": True, "bridge": True, "host": False}


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [path]
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        found += places(value, (*path, key))
    return found


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at `path`."""
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


def misspelt(document: Any) -> list[Any]:
    """One copy for each mapping of fixed keys, with a key that it does not know."""
    free = {("agent", "options"), ("model", "parameters"), ("environment",), ("thresholds",), ("fixtures",)}
    found = []
    for path in places(document):
        here = document
        for key in path:
            here = here[key]
        if isinstance(here, dict) and path not in free:
            found.append(changed(document, path, {**here, "unheard_of": 1}))
    return found


@pytest.fixture(scope="module")
def agree(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Whether schema and loader both accept a document, or both refuse it; fails when they differ."""
    folder = tmp_path_factory.mktemp("agree")
    (folder / "tree").mkdir()
    (folder / "tree" / "file").write_text("x")
    (folder / "solve.sh").write_text("x")
    path = folder / "a.scenario.yaml"
    validator = jsonschema.Draft202012Validator(json.loads(shipped_schema()))

    def both(document: Any) -> bool:
        path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        by_schema = [error.message for error in validator.iter_errors(document)]
        try:
            load_scenario(path)
            by_loader = ""
        except ScenarioError as error:
            by_loader = str(error)
        assert bool(by_schema) == bool(by_loader), f"schema: {by_schema}\nloader: {by_loader}\n{path.read_text()}"
        return not by_schema

    return both


def test_the_file_is_what_the_models_make() -> None:
    assert shipped_schema() == schema_text(), "write schema_text() to scenarios/schema/scenario.schema.json"


def test_it_is_a_schema_of_its_draft_and_tells_editors_what_every_key_means() -> None:
    schema = scenario_schema()

    jsonschema.Draft202012Validator.check_schema(schema)
    for model in (schema, *schema["$defs"].values()):
        if model.get("type") == "object":
            assert model["additionalProperties"] is False
            for name, field in model["properties"].items():
                assert field.get("description") or name == "type", name
    assert "runtime" in schema["properties"]["metrics_tracked"]["items"]["enum"]


@pytest.mark.parametrize("document", [VALID, COMPLETE], ids=["least", "complete"])
def test_both_accept_what_is_valid(agree: Any, document: dict[str, Any]) -> None:
    assert agree(document)


@pytest.mark.parametrize("key", VALID)
def test_both_want_what_is_required(agree: Any, key: str) -> None:
    assert not agree({name: value for name, value in VALID.items() if name != key})


def test_both_refuse_unknown_keys_everywhere(agree: Any) -> None:
    documents = misspelt(COMPLETE)

    assert len(documents) == 15
    assert not any(agree(document) for document in documents)


@pytest.mark.parametrize(
    "value", [None, True, 0, -1, 7, 2.5, 1_000_000, "", " ", "x", "a/../b", "/x", [], [3], {}, {"a": 1}]
)
def test_both_judge_every_value_in_every_place_alike(agree: Any, value: Any) -> None:
    for path in places(COMPLETE):
        # Names that must fit together and files are the loader's alone, and no question of form.
        if path[:1] not in (("prerequisites",), ("fixtures",)) and path not in (
            ("solution",),
            ("verification", "files"),
        ):
            agree(changed(COMPLETE, path, value))


@pytest.mark.parametrize(
    ("fixture", "valid"),
    [
        ({"type": "files", "source": "tree"}, True),
        ({"type": "files"}, False),
        ({"type": "files", "source": ".."}, False),
        ({"type": "files", "source": "tree/../../tree"}, False),
        ({"type": "files", "source": "tree", "branch": "x"}, False),
        ({"type": "file", "source": "tree"}, False),
        ({"source": "tree"}, False),
        ({"type": "git", "branch": "a b"}, False),
        ({"type": "git", "target": "/a"}, False),
        ({"type": "spec-kit", "version": 1.2}, False),
        ("tree", False),
        (None, False),
    ],
)
def test_both_judge_fixtures_alike(agree: Any, fixture: Any, valid: bool) -> None:
    assert agree({**VALID, "prerequisites": ["f"], "fixtures": {"f": fixture}}) is valid


@pytest.mark.parametrize("name", ["", "a b", "../x", "-a", "ü", "a" * 101])
def test_both_refuse_odd_names_of_fixtures(agree: Any, name: str) -> None:
    assert not agree({**VALID, "prerequisites": [name], "fixtures": {name: {"type": "git"}}})


@pytest.mark.parametrize(("network", "valid"), NETWORKS.items())
def test_both_take_one_network_for_all_phases(agree: Any, network: str, valid: bool) -> None:
    assert agree({**VALID, "runner": {"network": network}}) is valid


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=12)
PATHS = st.lists(st.sampled_from([".", "..", "a", "b.c", "*", "**", "...", "", "\\", "~"]), max_size=4).map("/".join)
NUMBERS = st.integers(-5, 100_000) | st.floats(-5, 1e5, allow_nan=False).map(lambda n: round(n, 3)).filter(
    lambda n: n % 1
)
ANYTHING = st.none() | st.booleans() | NUMBERS | TEXT | PATHS | st.lists(TEXT, max_size=2)
KEPT = [path for path in places(COMPLETE) if path and path[0] not in ("prerequisites", "fixtures", "solution")]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from([path for path in KEPT if path != ("verification", "files")]), value=ANYTHING)
def test_both_judge_alike_whatever_is_put_anywhere(agree: Any, path: tuple[Any, ...], value: Any) -> None:
    agree(changed(COMPLETE, path, value))


def test_what_only_the_loader_can_tell(agree: Any, tmp_path: Path) -> None:
    """References, files, names told twice in two forms, whole numbers written as 3.0: no schema tells these."""
    validator = jsonschema.Draft202012Validator(scenario_schema())
    for more in (
        {"prerequisites": ["nowhere"]},
        {"fixtures": {"unused": {"type": "git"}}},
        {"solution": "nowhere.sh"},
        {"thresholds": {"runtime": 1, "runtime_ms": 1}},
        {"metrics_tracked": ["runtime", "runtime_ms"]},
        {"secrets": ["A"], "environment": {"A": "x"}},
        {"runner": {"workdir": "/a/../b"}},
        {"trials": 3.0},
    ):
        path = tmp_path / "a.scenario.yaml"
        path.write_text(yaml.safe_dump({**VALID, **more}))
        assert validator.is_valid({**VALID, **more})
        with pytest.raises(ScenarioError):
            load_scenario(path)
