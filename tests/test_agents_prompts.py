"""Stage prompts come from the command files that the real Spec Kit puts into a project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from agents_support import FolderShell, init_project
from hypothesis import given
from hypothesis import strategies as st
from specify_cli.integrations import INTEGRATION_REGISTRY
from specify_cli.integrations.manifest import IntegrationManifest

from pytest_specbench.agents.orchestrator.prompts import load_stage_prompt, render_prompt
from pytest_specbench.agents.orchestrator.stages import STAGES
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause

LAYOUTS = [
    *((name, {"commands_dir": "ai/prompts"} if name == "generic" else {}) for name in sorted(INTEGRATION_REGISTRY)),
    ("copilot", {"commands": True}),
    ("bob", {"legacy_commands": True}),
]
OUTSIDE = {"hermes", "none"}
"""What keeps its commands in the user's home, and what has none."""


@pytest.mark.filterwarnings("ignore::UserWarning")  # Spec Kit's own, of layouts that are going
@pytest.mark.parametrize(("name", "options"), LAYOUTS)
def test_every_integration_of_the_installed_spec_kit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any]
) -> None:
    """A new release of Spec Kit with a layout or a placeholder that is not known here fails this test."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    project = tmp_path / "project"
    project.mkdir()
    integration = INTEGRATION_REGISTRY[name]
    manifest = IntegrationManifest(name, project)
    integration.setup(project, manifest, options)
    manifest.save()
    record(project, name)
    shell = FolderShell(project)
    if name in OUTSIDE:
        with pytest.raises(BlockedError, match=name):
            load_stage_prompt(shell, "plan", "x")
        return
    prompts = {stage.name: load_stage_prompt(shell, stage.name, "Count $words & {{braces}}.") for stage in STAGES}
    assert len({prompt.path for prompt in prompts.values()}) == len(STAGES)
    for stage in STAGES:
        text = prompts[stage.name].text
        assert "Count $words & {{braces}}." in text
        assert integration.registrar_config is not None
        assert integration.registrar_config["args"] not in text
        assert not text.startswith("---")
        assert len(text.splitlines()) > 20  # the prompt itself, and no file that refers to it
    if name != "generic":  # which may be anywhere
        shutil.rmtree(project / ".specify")
        assert load_stage_prompt(shell, "plan", "x").path == prompts["plan"].path


def record(project: Path, integration: str) -> None:
    """Spec Kit's record of the integration that a project is for."""
    (project / ".specify").mkdir(exist_ok=True)
    (project / ".specify" / "integration.json").write_text(json.dumps({"default_integration": integration}))


def two_agents(project: Path, manifest: str) -> str:
    """A project for Gemini with a command file of another agent, too; the path of the one that is taken."""
    for path, text in (
        ("gemini/commands/speckit.plan.toml", 'prompt = "Plan"'),
        ("a/commands/speckit.plan.md", "Plan"),
    ):
        (project / f".{path}").parent.mkdir(parents=True)
        (project / f".{path}").write_text(text)
    record(project, "gemini")
    (project / ".specify" / "integrations").mkdir()
    (project / ".specify" / "integrations" / "gemini.manifest.json").write_text(manifest)
    return load_stage_prompt(FolderShell(project), "plan", "x").path


def test_the_projects_own_integration_wins(tmp_path: Path) -> None:
    manifest = '{"files": {".vscode/settings.json": "", ".gemini/commands/speckit.plan.toml": ""}}'
    assert two_agents(tmp_path, manifest) == ".gemini/commands/speckit.plan.toml"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"files": 3}', '{"files": {"../speckit.plan.md": ""}}'])
def test_a_broken_manifest_is_passed_over(tmp_path: Path, content: str) -> None:
    assert two_agents(tmp_path, content) == ".a/commands/speckit.plan.md"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("speckit.plan.md", ""),
        ("speckit.plan.md", "---\nagent: speckit.plan\n---\n"),
        ("speckit.plan.md", "\ufeff---\r\nagent: x\r\n---\r\n\r\n$ARGUMENTS\r\n"),
        ("speckit.plan.toml", 'prompt = " "'),
        ("speckit.plan.toml", "prompt = 3"),
        ("speckit.plan.toml", "x = ["),
        ("speckit.plan.toml", "description = 'no prompt'"),
    ],
)
def test_a_command_file_without_a_prompt_blocks(tmp_path: Path, name: str, content: str) -> None:
    """The model would be told nothing of the stage, and may still make what the gates look for."""
    (tmp_path / ".x" / "commands").mkdir(parents=True)
    (tmp_path / ".x" / "commands" / name).write_text(content)
    with pytest.raises(BlockedError, match=name) as caught:
        load_stage_prompt(FolderShell(tmp_path), "plan", "a clock")
    assert caught.value.cause is Cause.CONFIGURATION


@pytest.mark.parametrize("content", ["prompt: 3", "[", "- prompt", "a: &a [*a]"])
def test_a_recipe_without_a_prompt_blocks(content: str) -> None:
    with pytest.raises(BlockedError):
        render_prompt(content, "x", path=".goose/recipes/speckit.plan.yaml")


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


@given(st.text())
def test_the_instruction_arrives_as_it_is(instruction: str) -> None:
    assert instruction in render_prompt("---\na: 1\n---\nDo $ARGUMENTS now", instruction)
