"""The repository's own scenarios are sound: their cassettes and solutions really do the work, and no less does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from folder_sandbox import FolderSandbox

from pytest_specbench.agents.models.normalise import normalise
from pytest_specbench.core.records import CheckResult
from pytest_specbench.scenarios.loader import LoadedScenario, load_scenario
from pytest_specbench.scenarios.model import FilesFixture
from pytest_specbench.verifiers import CHECKS, applicable
from pytest_specbench.verifiers.base import VerificationContext

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCENARIOS = ("specify", "plan", "tasks", "pipeline")
FEATURE = "specs/001-title-slugs"


@pytest.fixture(scope="session")
def spec_kit_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project made by the real Spec Kit."""
    beside = Path(sys.executable).with_name("specify")
    specify = str(beside) if beside.exists() else shutil.which("specify")
    if specify is None:
        # CI has it: there, nothing of this file may go by untested.
        missing = pytest.fail if os.environ.get("SPECBENCH_REQUIRE_ENGINE") == "1" else pytest.skip
        missing("specify-cli is not installed (the `spec-kit` extra brings it)")
    folder = tmp_path_factory.mktemp("spec-kit")
    command = [specify, "init", "project", "--integration", "generic", "--script", "sh", "--ignore-agent-tools"]
    command += ["--integration-options=--commands-dir .agent/commands", "--non-interactive"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    return folder / "project"


@pytest.fixture
def prepare(spec_kit_tree: Path, tmp_path: Path) -> Callable[..., tuple[LoadedScenario, FolderSandbox]]:
    """Sets a scenario up in a folder of its own, with its prerequisites in place."""

    def prepared(scenario_id: str, name: str = "work") -> tuple[LoadedScenario, FolderSandbox]:
        loaded = load_scenario(BENCHMARKS / f"{scenario_id}.scenario.yaml", known_checks=CHECKS.names())
        sandbox = FolderSandbox(tmp_path / name)
        for prerequisite in loaded.scenario.prerequisites:
            fixture = loaded.scenario.fixtures[prerequisite]
            source = BENCHMARKS / fixture.source if isinstance(fixture, FilesFixture) else spec_kit_tree
            shutil.copytree(source, sandbox.folder / fixture.target, dirs_exist_ok=True)
        return loaded, sandbox

    return prepared


@pytest.fixture
def verify(tmp_path: Path) -> Callable[[LoadedScenario, FolderSandbox], tuple[list[CheckResult], str]]:
    """Runs every verifier that applies; returns the results and `post-test.txt`."""

    def verified(loaded: LoadedScenario, sandbox: FolderSandbox) -> tuple[list[CheckResult], str]:
        post_test = bytearray()
        context = VerificationContext(
            scenario=loaded.scenario,
            scenario_folder=BENCHMARKS,
            sandbox=sandbox,
            folder=tmp_path / "verifier",
            write=post_test.extend,
            remaining=lambda: 120.0,
        )
        results = [check for verifier in applicable(loaded.scenario) for check in verifier.verify(context)]
        return results, post_test.decode(errors="replace")

    return verified


def cassette(scenario_id: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((BENCHMARKS / "cassettes" / f"{scenario_id}.cassette.yaml").read_text())
    return loaded


def play(scenario_id: str, sandbox: FolderSandbox) -> Iterator[tuple[str, int, list[int | None], list[str]]]:
    """Stage, step, exit codes and outputs of each reply of the scenario's cassette, its commands really run."""
    for entry in cassette(scenario_id)["replies"]:
        results = [
            sandbox.exec(["sh", "-c", call["arguments"]["command"]], timeout_sec=60)
            for call in entry["reply"]["tool_calls"]
        ]
        outputs = [result.output.decode() for result in results]
        yield entry["stage"], entry["step"], [result.exit_code for result in results], outputs


@pytest.mark.parametrize("scenario_id", SCENARIOS)
def test_a_cassette_does_the_work_with_the_exit_codes_that_it_expects(scenario_id, prepare, verify) -> None:
    loaded, sandbox = prepare(scenario_id)
    expected = {
        (entry["stage"], entry["step"]): entry["expects"]["exit_codes"] for entry in cassette(scenario_id)["replies"]
    }
    for stage, step, codes, outputs in play(scenario_id, sandbox):
        assert expected.get((stage, step + 1), []) == codes, f"after {stage} {step}:\n" + "\n".join(outputs)
    results, post_test = verify(loaded, sandbox)
    assert all(result.passed for result in results), post_test


@pytest.mark.parametrize("scenario_id", SCENARIOS)
def test_a_cassette_gives_the_same_output_wherever_it_is_played(scenario_id, prepare) -> None:
    _, first = prepare(scenario_id, "one")
    _, second = prepare(scenario_id, "another/folder")
    here = [[normalise(text, workdir=first.workdir) for text in texts] for *_, texts in play(scenario_id, first)]
    there = [[normalise(text, workdir=second.workdir) for text in texts] for *_, texts in play(scenario_id, second)]
    assert here == there


@pytest.mark.parametrize("scenario_id", SCENARIOS)
def test_a_cassette_says_that_it_is_scripted_and_ends_each_stage_without_a_call(scenario_id) -> None:
    content = cassette(scenario_id)
    assert (content["provenance"], content["model"]) == ("scripted", "scripted")
    last = {entry["stage"]: entry for entry in content["replies"]}
    assert all(entry["reply"]["tool_calls"] == [] and entry["reply"]["content"] for entry in last.values())
    assert all(entry["reply"]["tool_calls"] for entry in content["replies"] if entry is not last[entry["stage"]])


@pytest.mark.parametrize("scenario_id", SCENARIOS)
def test_the_solution_satisfies_the_verifiers(scenario_id, prepare, verify) -> None:
    loaded, sandbox = prepare(scenario_id)
    assert loaded.scenario.solution
    script = (BENCHMARKS / loaded.scenario.solution).read_text()
    done = sandbox.exec(["sh", "-c", script], timeout_sec=60)
    assert done.exit_code == 0, done.output.decode()
    results, post_test = verify(loaded, sandbox)
    assert all(result.passed for result in results), post_test


@pytest.mark.parametrize("scenario_id", SCENARIOS)
def test_doing_nothing_does_not_pass(scenario_id, prepare, verify) -> None:
    loaded, sandbox = prepare(scenario_id)
    results, _ = verify(loaded, sandbox)
    assert not all(result.passed for result in results)


@pytest.mark.parametrize(
    ("template", "checks"),
    [
        ("spec-template.md", ["spec-kit-spec"]),
        ("plan-template.md", ["spec-kit-plan"]),
        ("tasks-template.md", ["spec-kit-tasks", "spec-kit-tasks-done"]),
    ],
)
def test_a_template_fails_its_check_untouched_with_a_title_and_without_comments(
    template, checks, spec_kit_tree
) -> None:
    text = (spec_kit_tree / ".specify/templates" / template).read_text()
    titled = text.replace("[FEATURE NAME]", "Title Slugs").replace("[FEATURE]", "Title Slugs")
    ticked = titled.replace("- [ ]", "- [X]")
    bare = re.sub(r"<!--.*?-->", "", ticked, flags=re.DOTALL)
    assert titled != text
    for check in checks:
        for version in (text, titled, ticked, bare):
            assert CHECKS.load(check)(version)


def test_every_placeholder_of_the_templates_is_found_even_when_it_is_the_only_one_left(spec_kit_tree) -> None:
    good = {name: (BENCHMARKS / "fixtures" / path / FEATURE / f"{name}.md").read_text() for name, path in DOCUMENTS}
    for name, text in good.items():
        assert CHECKS.load(f"spec-kit-{name}")(text) == []
        template = (spec_kit_tree / f".specify/templates/{name}-template.md").read_text()
        prose = re.sub(r"<!--.*?-->|```.*?```", "", template, flags=re.DOTALL)
        for placeholder in set(re.findall(r"\[[^\[\]\n]*\]", prose)) - {"[X]"}:
            if not placeholder.startswith("[NEEDS CLARIFICATION"):
                assert CHECKS.load(f"spec-kit-{name}")(f"{text}\nA line with {placeholder} in it.\n"), placeholder


DOCUMENTS = (("spec", "specified"), ("plan", "planned"))


@pytest.fixture
def built(prepare) -> tuple[LoadedScenario, FolderSandbox]:
    """The pipeline's project, finished by its solution."""
    loaded, sandbox = prepare("pipeline")
    sandbox.exec(["sh", "-c", (BENCHMARKS / "solutions/pipeline.sh").read_text()], timeout_sec=60)
    return loaded, sandbox


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


SPOILT: dict[str, Callable[[Path], object]] = {
    "no program": lambda work: shutil.rmtree(work / "slugify"),
    "a limit that is not kept": lambda work: _edit(work / "slugify/core.py", "len(longer) > max_length", "False"),
    "a wrong exit status": lambda work: _edit(work / "slugify/cli.py", "status = 1", "status = 3"),
    "no tests": lambda work: [(work / "tests" / name).write_text("") for name in ("test_core.py", "test_cli.py")],
    "tests that test nothing": lambda work: [
        (work / "tests" / name).write_text(
            "import unittest\n\n\nclass Empty(unittest.TestCase):\n"
            + "".join(f"    def test_{number}(self):\n        pass\n\n" for number in range(9))
        )
        for name in ("test_core.py", "test_cli.py")
    ],
    "a failing test of its own": lambda work: _edit(work / "tests/test_core.py", '"hello-world"', '"hello world"'),
}


@pytest.mark.parametrize("flaw", SPOILT)
def test_the_acceptance_of_the_pipeline_refuses(flaw, built, verify) -> None:
    loaded, sandbox = built
    SPOILT[flaw](sandbox.folder)
    results, post_test = verify(loaded, sandbox)
    assert not results[-1].passed, post_test
    assert results[-1].cause == "verifier_said_no"


def test_a_fake_unittest_in_the_project_does_not_deceive_the_acceptance(built, verify) -> None:
    loaded, sandbox = built
    shutil.rmtree(sandbox.folder / "slugify")
    (sandbox.folder / "unittest.py").write_text("import sys\nsys.exit(0)\n")
    results, _ = verify(loaded, sandbox)
    assert not results[-1].passed


def test_tasks_that_forget_a_story_are_refused(prepare, verify) -> None:
    loaded, sandbox = prepare("tasks")
    sandbox.exec(["sh", "-c", (BENCHMARKS / "solutions/tasks.sh").read_text()], timeout_sec=60)
    tasks = sandbox.folder / FEATURE / "tasks.md"
    kept = tasks.read_text().partition("## Phase 5")[0]
    tasks.write_text(kept)
    results, post_test = verify(loaded, sandbox)
    assert results[0].passed, "the document alone is sound"
    assert not results[-1].passed
    assert "User Story 3 of spec.md has no task" in post_test


def test_a_plan_that_changes_the_specification_is_refused(prepare, verify) -> None:
    loaded, sandbox = prepare("plan")
    sandbox.exec(["sh", "-c", (BENCHMARKS / "solutions/plan.sh").read_text()], timeout_sec=60)
    _edit(sandbox.folder / FEATURE / "spec.md", "FR-010", "FR-011")
    results, _ = verify(loaded, sandbox)
    assert [result.passed for result in results] == [True, True, True, False]


def test_nothing_of_the_verification_is_in_the_project_before() -> None:
    for folder in ("fixtures", "solutions", "cassettes"):
        for root, _, names in os.walk(BENCHMARKS / folder):
            assert not any("accept.py" in Path(root, name).read_text() for name in names)
