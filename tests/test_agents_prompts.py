"""Stage prompts come from the command files that the real Spec Kit puts into a project."""

from __future__ import annotations

from pathlib import Path

import pytest
from agents_support import FolderShell, init_project
from hypothesis import given
from hypothesis import strategies as st

from pytest_specbench.agents.orchestrator.prompts import load_stage_prompt, render_prompt
from pytest_specbench.agents.orchestrator.stages import STAGES
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause


@pytest.mark.parametrize(
    ("integration", "path"),
    [
        ("generic", ".agent/commands/speckit.plan.md"),
        ("claude", ".claude/skills/speckit-plan/SKILL.md"),
        ("copilot", ".github/skills/speckit-plan/SKILL.md"),
        ("gemini", ".gemini/commands/speckit.plan.toml"),
        ("codex", ".agents/skills/speckit-plan/SKILL.md"),
    ],
)
def test_every_integration_of_spec_kit(tmp_path: Path, integration: str, path: str) -> None:
    shell = FolderShell(init_project(tmp_path, integration))
    prompt = load_stage_prompt(shell, "plan", "Count $words & {{braces}} \\1.")
    assert prompt.path == path
    assert "Count $words & {{braces}} \\1." in prompt.text
    assert "$ARGUMENTS" not in prompt.text
    assert "{{args}}" not in prompt.text
    assert not prompt.text.startswith("---")


def test_every_stage_has_a_command_file(tmp_path: Path) -> None:
    shell = FolderShell(init_project(tmp_path))
    texts = {stage.name: load_stage_prompt(shell, stage.name, "x").text for stage in STAGES}
    assert len(set(texts.values())) == len(STAGES)


@pytest.mark.parametrize(
    "path",
    [
        ".claude/commands/speckit.plan.md",
        ".claude/commands/plan.md",
        ".github/prompts/plan.prompt.md",
        ".codex/prompts/plan.md",
    ],
)
def test_older_places(tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("---\ndescription: d\n---\n\nPlan this: $ARGUMENTS\n")
    prompt = load_stage_prompt(FolderShell(tmp_path), "plan", "a clock")
    assert (prompt.path, prompt.text) == (path, "Plan this: a clock")


def test_without_a_command_file_the_set_up_is_to_blame(tmp_path: Path) -> None:
    with pytest.raises(BlockedError) as caught:
        load_stage_prompt(FolderShell(tmp_path), "plan", "x")
    assert caught.value.cause is Cause.CONFIGURATION
    assert ".agent/commands/speckit.plan.md" in str(caught.value)
    assert "spec-kit" in str(caught.value)


def test_only_front_matter_is_stripped() -> None:
    assert render_prompt("---\na: 1\n---\nOne $ARGUMENTS\n\n---\n\nTwo", "x") == "One x\n\n---\n\nTwo"
    assert render_prompt("One $ARGUMENTS\n---\nTwo\n---\n", "x") == "One x\n---\nTwo\n---"


@pytest.mark.parametrize("placeholder", ["$ARGUMENTS", "${ARGUMENTS}", "{{args}}", "{{ ARGS }}", "{ARGS}"])
def test_every_placeholder(placeholder: str) -> None:
    assert render_prompt(f"Do {placeholder}!", "it") == "Do it!"


def test_without_a_placeholder_the_instruction_is_not_lost() -> None:
    assert render_prompt("Plan.", "a clock").endswith("a clock")


def test_scripts_in_a_prompt_stay_as_they_are() -> None:
    text = 'run `{SCRIPT}` and "${VALUE}" for $ARGUMENTS'
    assert render_prompt(text, "x") == 'run `{SCRIPT}` and "${VALUE}" for x'


@pytest.mark.parametrize("text", ["prompt = 3", "x = [", "description = 'no prompt'"])
def test_a_broken_toml_file_blocks(text: str) -> None:
    with pytest.raises(BlockedError):
        render_prompt(text, "x", toml=True)


@given(st.text())
def test_the_instruction_arrives_as_it_is(instruction: str) -> None:
    assert instruction in render_prompt("---\na: 1\n---\nDo $ARGUMENTS now", instruction)
