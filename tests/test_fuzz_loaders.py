"""Every reader of files, given files that somebody broke: it loads them, or it says in its own words what is wrong.

Valid files are mutated by their structure (keys and values taken away, replaced, repeated, nested) and by their bytes.
In CI the examples are always the same few. For a long run of others:
FUZZ_EXAMPLES=20000 pytest tests/test_fuzz_loaders.py
"""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from core_samples import baseline
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenario_files import scenario

from pytest_specbench.agents.models.cassette import load_cassette
from pytest_specbench.core.approval.audit import Action, AuditEntry, comparison_key, entry_bytes, sha256
from pytest_specbench.core.errors import SpecbenchError
from pytest_specbench.recording.atif_check import check_trajectory
from pytest_specbench.sandboxes.archive import Budget, read_regular
from pytest_specbench.scenarios.datasets import resolve_dataset
from pytest_specbench.scenarios.loader import load_scenario
from pytest_specbench.store.baselines.audit import append, read_trail
from pytest_specbench.store.baselines.records import Trust, read_baselines
from pytest_specbench.store.lock import read_lock
from pytest_specbench.store.trees import FolderTree

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "250"))
LONGEST = 60_000
"""Characters of an error, however large the file."""

fuzzed = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def holds(error: SpecbenchError, name: str = "") -> None:
    """The invariant of every error: it names the file, cannot steer a terminal, and is not endless."""
    text = str(error)
    assert name in text
    assert all(character.isprintable() or character in "\n\t" for character in text), text
    assert len(text) < LONGEST


def reads(reader: Callable[[Path], Any], file: Path, data: bytes, *, beside: int = 1) -> None:
    """It loads or raises an error of ours, and writes nothing."""
    file.write_bytes(data)
    try:
        reader(file)
    except SpecbenchError as error:
        holds(error, file.name)
    assert file.read_bytes() == data
    assert len(list(file.parent.iterdir())) == beside


# -- mutations ---------------------------------------------------------------------------------------------------------

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 2**63, 10**400, 10**19]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        [
            "", " ", "\n", "\0", "\x1b[31m", "a\nb", "../..", "/etc/passwd", "~", "<<", "=", "y", "1e400", "0x1f",
            "1:30:00", "2020-01-01", "NaN", "\u202e", "\x85", "\u2028", "\ufeff", "\ufffe", "\x9b", "x" * 5000,
            "replay:" + "a/" * 50, "http://[", "a==b==c", "@", "9" * 5000, ".inf", "&a", "*a", "!!int", "- ", "{", "[",
        ]
    ),
    st.sampled_from([[], {}, [[]], [{}], {"": None}, {"a": {"b": {"c": []}}}]).map(copy.deepcopy),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside of a document."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """The document with a few changes anywhere inside of it."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(changed)))
        if not path:
            return draw(ODD)
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        how, key = draw(st.sampled_from(["delete", "replace", "nest", "rename", "repeat"])), path[-1]
        if how == "delete":
            del parent[key]
        elif how == "replace":
            parent[key] = draw(ODD)
        elif how == "nest":
            parent[key] = [parent[key]] if draw(st.booleans()) else {"x": parent[key]}
        elif how == "rename" and isinstance(parent, dict):
            parent[draw(st.text(max_size=8) | st.sampled_from([f"{key}s", f"{key}\x1b[0m\n"]))] = parent.pop(key)
        elif isinstance(parent, list):
            parent[key:key] = [parent[key]] * draw(st.sampled_from([1, 300]))
    return changed


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes cut off, overwritten, doubled, or with something put in between."""
    at = draw(st.integers(0, len(data)))
    to = draw(st.integers(at, min(len(data), at + 40)))
    put = draw(
        st.binary(max_size=12)
        | st.sampled_from(
            [
                b"\0", b"\x1b[31m", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\t", b"\r", b"\n---\n", b"\n...\n",
                b"&a ", b"*a", b"<<: ", b"? ", b"- " * 60, b"[" * 60, b'{"a":' * 60, b"!!python/x ", b"1:00" * 60,
                b"!!bool x", b'!!int ""', b"!!timestamp x", b"%YAML 9\n", b"\xc2\x85", b"9" * 4400, b"NaN", b"1e999",
            ]
        )
    )  # fmt: skip
    how = draw(st.sampled_from(["cut", "put", "swap", "double", "wide"]))
    if how == "wide":
        return data.decode("utf-8", "replace").encode(draw(st.sampled_from(["utf-16", "utf-32", "utf-16-be"])))
    return {"cut": data[:at], "put": data[:at] + put + data[at:], "swap": data[:at] + put + data[to:]}.get(
        how, data[:to] + data[at:]
    )


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def as_yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, sort_keys=False).encode()


def files_like(document: Any, write: Callable[[Any], bytes]) -> st.SearchStrategy[bytes]:
    """Files that a document becomes by mutations of its structure or of its bytes."""
    return mutated(document).map(write) | damaged(write(document))


# -- valid files -------------------------------------------------------------------------------------------------------

SCENARIO = scenario(
    "demo",
    runner={"cpus": 1.5, "memory_mb": 256, "network": {"agent": "bridge"}},
    model={"name": "gpt", "prices": {"input": 1, "output": 2.5}},
    fixtures={"tree": {"type": "git", "branch": "main"}},
    prerequisites=["tree"],
    deadlines={"agent_sec": 30},
    thresholds={"runtime": 20},
    environment={"A": "b"},
    secrets=["TOKEN"],
    verification={"command": "true"},
    terminal_size=[80, 24],
)
REGISTRY = [
    {
        "name": "suite",
        "version": "1.0",
        "terminal_bench_version": ">=0",
        "github_url": ".",
        "dataset_path": ".",
        "branch": "main",
        "commit_hash": "head",
        "description": None,
        "task_id_subset": ["demo"],
    }
]
LOCK = {"lock": 1, "sandboxes": {"local": {"demo": {"image": "sha256:1", "cpus": 1.5, "pids": 3, "user": None}}}}
CASSETTE = {
    "cassette": 1,
    "provenance": "scripted",
    "model": "scripted",
    "recorded_at": "2026-01-01T00:00:00Z",
    "replies": [
        {
            "stage": "specify",
            "step": 1,
            "tools": ["shell"],
            "expects": {"exit_codes": [0, None]},
            "reply": {"content": "", "tool_calls": [{"id": "a", "name": "shell", "arguments": {"command": "ls"}}]},
        },
        {"stage": "specify", "step": 2, "tools": ["shell"], "reply": {"content": "done", "usage": {"cost_usd": 0.5}}},
    ],
}
ATIF = {
    "schema_version": "ATIF-v1.6",
    "session_id": "s",
    "agent": {"name": "a", "version": "1"},
    "steps": [
        {"step_id": 1, "source": "user", "message": "hi", "timestamp": "2026-01-01T00:00:00Z"},
        {
            "step_id": 2,
            "source": "agent",
            "message": [{"type": "image", "source": {"media_type": "image/png", "path": "a.png"}}],
            "tool_calls": [{"tool_call_id": "c", "function_name": "f", "arguments": {}}],
            "observation": {"results": [{"source_call_id": "c", "content": "x"}]},
            "metrics": {"prompt_tokens": 3, "cost_usd": 0.5},
        },
    ],
    "final_metrics": {"total_prompt_tokens": 3, "total_cost_usd": 0.5, "total_steps": 2},
}


BASELINE: dict[str, Any] = json.loads(baseline().model_dump_json())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository: nobody looks for anything above it."""
    (tmp_path / "in").mkdir()
    (tmp_path / ".git").mkdir()
    return tmp_path / "in"


@fuzzed
@given(data=files_like(SCENARIO, as_yaml) | files_like(SCENARIO, as_json))
def test_scenario(folder: Path, data: bytes) -> None:
    reads(load_scenario, folder / "demo.scenario.yaml", data)


@fuzzed
@given(data=files_like(REGISTRY, as_json))
def test_registry(folder: Path, data: bytes) -> None:
    def resolve(file: Path) -> None:
        assert resolve_dataset("suite", registry=str(file), near=folder).name == "suite"

    reads(resolve, folder / "registry.json", data)


@fuzzed
@given(data=files_like(LOCK, as_json))
def test_lock(folder: Path, data: bytes) -> None:
    reads(lambda file: read_lock(file.parent), folder / "specbench.lock", data)


@fuzzed
@given(data=files_like(CASSETTE, as_yaml) | files_like(CASSETTE, as_json))
def test_cassette(folder: Path, data: bytes) -> None:
    reads(load_cassette, folder / "demo.cassette.yaml", data)


def approval(data: bytes) -> AuditEntry:
    """The entry that approves the baseline with this content."""
    made = baseline()
    return AuditEntry(
        action=Action.APPROVE,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        by="mara@example.org",
        rotation="maintainers",
        verified=False,
        scenario_id=made.scenario_id,
        key=comparison_key(made.fingerprint, made.host_class),
        baseline_id=made.baseline_id,
        record_sha256=sha256(data),
        run_id=UUID(int=1),
    )


@fuzzed
@given(data=files_like(BASELINE, as_json))
def test_baseline(folder: Path, data: bytes) -> None:
    """A record that was approved with whatever is in it."""
    place = folder / BASELINE["scenario_id"]
    place.mkdir(exist_ok=True)
    shutil.rmtree(folder / "audit", ignore_errors=True)
    append(folder, approval(data), None)
    file = place / f"{BASELINE['baseline_id']}.json"
    reads(lambda _: read_baselines(FolderTree(folder), place.name, Trust("off")), file, data)


@fuzzed
@given(data=files_like(json.loads(entry_bytes(approval(b""))), as_json))
def test_audit_entry(folder: Path, data: bytes) -> None:
    """Its reader raises nothing: it is a finding."""
    (folder / "audit").mkdir(exist_ok=True)
    (folder / "audit" / "20260101T000000.000000Z-0123456789abcdef.json").write_bytes(data)
    trail = read_trail(FolderTree(folder))
    assert trail.problems
    assert all(problem.what.isprintable() and len(problem.what) < LONGEST for problem in trail.problems)


@fuzzed
@given(data=files_like(ATIF, as_json))
def test_trajectory(folder: Path, data: bytes) -> None:
    """Its check raises nothing: it is a finding."""
    file = folder / "trajectory.json"
    file.write_bytes(data)
    problems = check_trajectory(file)
    assert all(problem.isprintable() for problem in problems)
    assert sum(map(len, problems)) < 10 * LONGEST


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as target:
        for name, kind in (
            ("w/" + "x" * 150, b"0"),
            ("w/é", b"0"),
            ("w/link", b"1"),
            ("w/folder", b"5"),
            ("w/b", b"0"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, 3 if kind == b"0" else 0
            info.linkname = "w/é" if kind == b"1" else ""
            target.addfile(info, io.BytesIO(b"abc"))
    return buffer.getvalue()


ARCHIVE = archive()


@fuzzed
@given(data=damaged(ARCHIVE), size=st.integers(1, 2000))
def test_archive(data: bytes, size: int) -> None:
    chunks = iter([data[at : at + size] for at in range(0, len(data), size)])
    try:
        found = read_regular(chunks, str, Budget(10_000))
    except SpecbenchError as error:
        holds(error)
        return
    assert not any(name.startswith("/") or ".." in name.split("/") for name in found.files)
    assert sum(map(len, found.files.values())) <= 10_000


@pytest.mark.parametrize("at", range(512, len(ARCHIVE.rstrip(b"\0")), 512))
def test_an_archive_that_was_cut_off_is_no_shorter_archive(at: int) -> None:
    """What is behind the cut would seem not to be there, which would be the agent's failure."""
    with pytest.raises(SpecbenchError, match="cannot be read"):
        read_regular(iter([ARCHIVE[:at]]), str, Budget(10_000))
