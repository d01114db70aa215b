"""Success artifacts: all that match must be sound, and keeping them is safe whatever the agent called them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from folder_sandbox import FolderSandbox
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.records import CheckResult
from pytest_specbench.core.status import Cause
from pytest_specbench.scenarios.model import Scenario
from pytest_specbench.verifiers import VERIFIERS, applicable
from pytest_specbench.verifiers.artifacts import MAX_BYTES, MAX_CHECKED_BYTES, MAX_PROBLEMS, ArtifactVerifier
from pytest_specbench.verifiers.base import VerificationContext
from pytest_specbench.verifiers.display import shown
from pytest_specbench.verifiers.keep import keep, safe_path


def scenario(**more: Any) -> Scenario:
    basics = {"scenario_id": "s", "display_name": "S", "command_path": "/specify", "owner_rotation": "o"}
    return Scenario.model_validate({**basics, "registry_version": "d==1", "instruction": "do", **more})


@pytest.fixture
def sandbox(tmp_path: Path) -> FolderSandbox:
    return FolderSandbox(tmp_path / "work")


@pytest.fixture
def verify(tmp_path: Path, sandbox: FolderSandbox) -> Callable[..., tuple[list[CheckResult], str]]:
    def verified(*artifacts: Any, sandbox: Any = sandbox, max_bytes: int = 1_000) -> tuple[list[CheckResult], str]:
        post_test = bytearray()
        context = VerificationContext(
            scenario=scenario(success_artifacts=artifacts),
            scenario_folder=tmp_path,
            sandbox=sandbox,
            folder=tmp_path / "verifier",
            write=post_test.extend,
            remaining=lambda: 10.0,
        )
        return ArtifactVerifier(max_bytes).verify(context), post_test.decode()

    return verified


def reports_nothing(text: str) -> list[str]:
    return []


def crashes(text: str) -> list[str]:
    raise RuntimeError("a bug of \x1b[31mmine")


def returns_none(text: str) -> Any:
    return None


def complains(text: str) -> list[str]:
    return [f"found \x1b]0;title\x07{text}\nand more"]


HERE = "test_verifiers_artifacts"


def test_an_artifact_that_exists_passes_and_is_kept(verify, sandbox, tmp_path) -> None:
    (sandbox.folder / "specs/001-a").mkdir(parents=True)
    (sandbox.folder / "specs/001-a/spec.md").write_bytes(b"hello\xff")
    (result,), post_test = verify({"path": "specs/*/spec.md"})
    assert result == CheckResult(name="artifact specs/*/spec.md", passed=True, files=("specs/001-a/spec.md",))
    assert (tmp_path / "verifier/artifacts/specs/001-a/spec.md").read_bytes() == b"hello\xff"
    assert post_test == "pass  artifact specs/*/spec.md\n      looked at specs/001-a/spec.md (6 bytes)\n"


def test_a_missing_artifact_is_missing(verify) -> None:
    (result,), post_test = verify({"path": "specs/*/spec.md", "check": "spec-kit-spec"})
    assert (result.passed, result.cause) == (False, Cause.ARTIFACT_MISSING)
    assert result.name == "artifact specs/*/spec.md (spec-kit-spec)"
    assert result.problems == ("No file matches specs/*/spec.md.",)
    assert post_test.startswith("FAIL  artifact specs/*/spec.md (spec-kit-spec)\n")


@pytest.mark.parametrize("content", [b"", b" \n\t\n"])
def test_an_empty_artifact_is_invalid(content, verify, sandbox) -> None:
    (sandbox.folder / "a.txt").write_bytes(content)
    (result,), _ = verify({"path": "a.txt"})
    assert (result.passed, result.cause) == (False, Cause.ARTIFACT_INVALID)


def test_every_match_must_pass(verify, sandbox) -> None:
    (sandbox.folder / "a.json").write_text("{}")
    (sandbox.folder / "b.json").write_text("{")
    (result,), post_test = verify({"path": "*.json", "check": "json"})
    assert (result.passed, result.cause) == (False, Cause.ARTIFACT_INVALID)
    assert len(result.problems) == 1
    assert result.problems[0].startswith("b.json: Line 1:")
    assert result.problems[0] in post_test


def test_a_named_check_needs_text(verify, sandbox) -> None:
    (sandbox.folder / "a.json").write_bytes(b'{"a": "\xff"}')
    (result,), _ = verify({"path": "a.json", "check": "json"})
    assert result.problems == ("a.json: The file is not UTF-8 text: byte 0xff at offset 7.",)


def test_each_artifact_has_its_own_result_and_a_file_is_kept_once(verify, sandbox, tmp_path) -> None:
    (sandbox.folder / "a.json").write_text("{}")
    results, _ = verify({"path": "a.json", "check": "json"}, {"path": "*.json"}, {"path": "none"})
    assert [result.passed for result in results] == [True, True, False]
    assert [path.name for path in (tmp_path / "verifier/artifacts").iterdir()] == ["a.json"]


@pytest.mark.parametrize("check", ["crashes", "returns_none", "is_not_there"])
def test_a_check_that_cannot_tell_is_nobodys_failure(check, verify, sandbox) -> None:
    (sandbox.folder / "a.txt").write_text("x")
    with pytest.raises(InfrastructureError) as caught:
        verify({"path": "a.txt", "check": f"{HERE}:{check}"})
    assert caught.value.cause is Cause.VERIFIER_CRASHED
    assert "\x1b" not in str(caught.value)


def test_a_third_partys_check_may_pass(verify, sandbox) -> None:
    (sandbox.folder / "a.txt").write_text("x")
    (result,), _ = verify({"path": "a.txt", "check": f"{HERE}:reports_nothing"})
    assert result.passed


def test_problems_and_names_are_shown_without_effect_on_a_terminal(verify, sandbox) -> None:
    (sandbox.folder / "a\x1b[2J\n\u202e.txt").write_text("x")
    (result,), post_test = verify({"path": "*.txt", "check": f"{HERE}:complains"})
    assert result.files == (r"a\x1b[2J\n\u202e.txt",)
    assert result.problems == (r"a\x1b[2J\n\u202e.txt: found \x1b]0;title\x07x\nand more",)
    assert not set("\x1b\x07\u202e") & set(post_test)


def test_too_many_bytes_are_the_agents_failure(verify, sandbox) -> None:
    """It made them; the limit is named, and the other artifacts are still judged."""
    (sandbox.folder / "a.txt").write_text("x" * 2_000)
    (sandbox.folder / "b.txt").write_text("x")
    (large, fine), post_test = verify({"path": "a.txt"}, {"path": "b.txt"})
    assert (large.passed, large.cause, fine.passed) == (False, Cause.ARTIFACT_INVALID, True)
    assert large.problems == ("What matches a.txt cannot be judged: the files to fetch hold more than 1000 bytes.",)
    assert "more than 1000 bytes" in post_test


def test_what_a_named_check_reads_has_a_lower_limit(verify, sandbox) -> None:
    """A parser must not be kept busy until the verifier's deadline by sheer length."""
    (sandbox.folder / "a.json").write_text(f'["{"x" * MAX_CHECKED_BYTES}"]')
    checked, unchecked = verify({"path": "a.json", "check": "json"}, {"path": "a.json"}, max_bytes=MAX_BYTES)[0]
    assert (checked.cause, unchecked.passed) == (Cause.ARTIFACT_INVALID, True)


def test_of_very_many_problems_some_are_told(verify, sandbox) -> None:
    for number in range(MAX_PROBLEMS + 7):
        (sandbox.folder / f"{number}.txt").touch()
    (result,), _ = verify({"path": "*.txt"})
    assert len(result.problems) == MAX_PROBLEMS + 1
    assert result.problems[-1] == "and 7 more problems"


HOSTILE = [
    "../../escape",
    "/etc/passwd",
    "a/../../b",
    "..",
    ".",
    "",
    "a//b",
    "con",
    "NUL.txt",
    "com1.log",
    "a\nb",
    "a\x1b[31m",
    "a\\b",
    "c:d",
    "name.",
    "name ",
    " name",
    "x" * 300,
    "\udcff",
    "é.md",
    "/".join(["d"] * 200),
    "a~0123456789ab",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_stays_in_the_folder_and_off_the_terminal(path, tmp_path) -> None:
    kept = keep(tmp_path / "in", path, b"x")
    assert kept.read_bytes() == b"x"
    assert kept.resolve().is_relative_to((tmp_path / "in").resolve())
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert safe_path(path) != path


@pytest.mark.parametrize(
    "path", ["specs/001-a/spec.md", ".specify/feature.json", "a b.txt", "src/__init__.py", "x+y=z.txt"]
)
def test_a_plain_path_is_kept_as_it_is(path) -> None:
    assert safe_path(path) == path


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=30), unique=True, max_size=8))
def test_different_paths_stay_different(paths) -> None:
    safe = [safe_path(path) for path in paths]
    assert len(set(safe)) == len(paths)
    for path in safe:
        assert all(part not in ("", ".", "..") and len(part) <= 130 for part in path.split("/"))


def test_names_that_are_one_on_the_host_are_both_kept(tmp_path) -> None:
    first = keep(tmp_path, "a", b"1")
    second = keep(tmp_path, "a/b", b"2")
    third = keep(tmp_path, "a", b"3")
    assert [first.read_bytes(), second.read_bytes(), third.read_bytes()] == [b"1", b"2", b"3"]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=100))
def test_what_is_shown_is_one_printable_line(text) -> None:
    line = shown(text)
    assert len(line.splitlines()) <= 1
    assert line.encode("utf-8").decode() == line
    assert not any(ord(character) < 32 or ord(character) == 127 for character in line)


def test_applicable_picks_what_the_scenario_asks_for(monkeypatch) -> None:
    artifacts = scenario(success_artifacts=[{"path": "a"}])
    command = scenario(verification={"command": "true"})
    both = scenario(success_artifacts=[{"path": "a"}], verification={"command": "true"})
    names = [[type(verifier).__name__ for verifier in applicable(each)] for each in (artifacts, command, both)]
    assert names == [["ArtifactVerifier"], ["CommandVerifier"], ["ArtifactVerifier", "CommandVerifier"]]
    assert {"artifacts", "command"} <= set(VERIFIERS.names())


def test_what_nobody_checks_does_not_pass() -> None:
    unchecked = scenario(verification={"command": "true"}).model_copy(update={"verification": None})
    with pytest.raises(InfrastructureError) as caught:
        applicable(unchecked)
    assert caught.value.cause is Cause.VERIFIER_CRASHED
