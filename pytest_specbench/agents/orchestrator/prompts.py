"""What the model is told: the headless preamble, and the stage's command file as Spec Kit put it into the project."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from pytest_specbench.agents.base import Shell
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause

INTEGRATION = ".specify/integration.json"
MANIFEST = ".specify/integrations/{integration}.manifest.json"
"""Where Spec Kit writes down which agent a project is for, and which files it made for it."""

_COMMAND_FILE = re.compile(r"(?:^|/)speckit[.-](?P<stage>[a-z]+)(?P<kind>/SKILL\.md|(?:\.\w+){1,2})$")
_KINDS = ("/SKILL.md", ".agent.md")
"""What holds the prompt itself, where an integration makes several files for one stage; the last is `.prompt.md`."""

PLACES = (
    ".agent/commands/speckit.{stage}.md",
    ".*/commands/speckit.{stage}.md",
    ".*/skills/speckit-{stage}/SKILL.md",
    ".*/agents/speckit.{stage}.agent.md",
    ".*/prompts/speckit.{stage}.prompt.md",
    ".*/prompts/speckit.{stage}.md",
    ".*/commands/speckit.{stage}.toml",
    ".*/*/commands/speckit.{stage}.toml",
    ".*/commands/speckit.{stage}.mdc",
    ".*/commands/speckit-{stage}.md",
    ".*/workflows/speckit.{stage}.md",
    ".*/workflows/speckit-{stage}.md",
    ".*/recipes/speckit.{stage}.yaml",
    ".*/commands/{stage}.md",
    ".*/prompts/{stage}.prompt.md",
    ".*/prompts/{stage}.md",
    ".*/commands/{stage}.toml",
    ".specify/templates/commands/{stage}.md",
    "templates/commands/{stage}.md",
)
"""Where command files lie that no record of Spec Kit's names, today's spellings before older ones; the first place with
a file wins."""

SYSTEM_PROMPT = """\
You work unattended on a software project through one tool, `shell`, which runs a command line in the project's folder
and gives back its exit code and its output. Each call starts a new shell in that folder. There is no other way to read
or write files.

Nobody reads along and nobody answers. Never ask a question and never wait for confirmation:
- Clarifications are authorised in advance: make the best-informed guess, and write it down as an assumption.
- Wherever the workflow tells you to stop and ask (unchecked checklists, yes/no confirmations, offers of options), the
  answer is yes: proceed.
- Do not start interactive programs.

The workflow has stages. You are given the instructions of one stage; do that stage and no other. When its result is
complete on disk, reply with a short summary and without a tool call: that ends the stage. A reply without a tool call
ends the stage also when nothing was done, so do the work first."""

SHELL_TOOL = {
    "type": "function",
    "function": {
        "name": "shell",
        "description": "Run a command line with sh in the project's folder; returns exit code and output.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string", "description": "The command line."}},
            "required": ["command"],
            "additionalProperties": False,
        },
    },
}
"""The one tool."""

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n.*?^---[ \t]*\r?\n?", re.DOTALL | re.MULTILINE)
_PLACEHOLDER = re.compile(
    r"\$\{?ARGUMENTS\}?|\{\{\s*(?:args|ARGS|ARGUMENTS|parameters)\s*\}\}|\{(?:ARGS|ARGUMENTS)\}"
    r"|\(the user will provide the argument in this conversation\)"  # what Spec Kit writes for Kiro, which has none
)


@dataclass(frozen=True)
class StagePrompt:
    """A stage's prompt and the file it came from."""

    path: str
    text: str


def load_stage_prompt(shell: Shell, stage: str, arguments: str) -> StagePrompt:
    """Read the command file of `stage` from the sandbox and put `arguments` in.

    It is the one that Spec Kit made for the project's integration, by its own record; without a record, or without the
    file, the first of `PLACES`. Raises BlockedError(CONFIGURATION), for the project was not set up, when there is none,
    with the places, and when the file has no prompt: the model would be told nothing of the stage.
    """
    integration = _integration(shell)
    places = [place.format(stage=stage) for place in PLACES]
    for place in (*_recorded(shell, integration, stage), *places):
        found = shell.read(place)
        if found:
            path = min(found)
            return StagePrompt(path, render_prompt(found[path], arguments, path=path))
    by_record = f", and {INTEGRATION} names {integration!r}, which keeps none in the project" if integration else ""
    raise BlockedError(
        f"the sandbox has no Spec Kit command file for the stage {stage!r}{by_record}",
        cause=Cause.CONFIGURATION,
        where=shell.workdir,
        expected=f"one of {', '.join(places)}",
        hint="give the scenario a fixture of the type 'spec-kit', and name it among its prerequisites; "
        "in a terminal-bench task, put a folder from 'specify init' into the image",
    )


def render_prompt(text: str, arguments: str, *, path: str = "") -> str:
    """The prompt of a command file: without front matter, with the arguments in every placeholder's place.

    A file without a placeholder gets the arguments at its end. One that says nothing but the arguments has no prompt:
    BlockedError(CONFIGURATION), as for TOML and YAML that cannot be read. The kind of file is told by the `path`.
    """
    read = _FORMS.get(path.rpartition(".")[2])
    text = text.lstrip("\ufeff")
    body = _FRONT_MATTER.sub("", text if read is None else _prompt_of(read, text, path), count=1).strip()
    if not _PLACEHOLDER.sub("", body).strip():
        raise _no_prompt(path, "it holds no instructions")
    rendered, count = _PLACEHOLDER.subn(lambda _: arguments, body)
    return rendered if count else f"{body}\n\n## User Input\n\n{arguments}"


_FORMS: dict[str, Any] = {"toml": tomllib.loads, "yaml": yaml.safe_load, "yml": yaml.safe_load}
"""Ending -> what reads a command file whose prompt is one of its values."""


def _prompt_of(read: Any, text: str, path: str) -> str:
    try:
        content = read(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise _no_prompt(path, f"it cannot be read: {error}") from None
    prompt = content.get("prompt") if isinstance(content, dict) else None
    if not isinstance(prompt, str):
        raise _no_prompt(path, "it has no text under 'prompt'")
    return prompt


def _no_prompt(path: str, why: str) -> BlockedError:
    return BlockedError(
        f"the Spec Kit command file {path} has no prompt: {why}",
        cause=Cause.CONFIGURATION,
        expected="the instructions of the stage, as 'specify init' writes them",
        hint="let 'specify init --here --force' write it anew, and look at the difference",
    )


def _integration(shell: Shell) -> str | None:
    """The integration that the project is for, by Spec Kit's record."""
    record = _json(shell, INTEGRATION)
    names = [record.get("default_integration"), record.get("integration")]
    return next((name for name in names if isinstance(name, str) and name), None)


def _recorded(shell: Shell, integration: str | None, stage: str) -> Iterator[str]:
    """The stage's files that Spec Kit made for the integration, the one with the prompt first."""
    files = _json(shell, MANIFEST.format(integration=integration)).get("files") if integration else None
    names = files if isinstance(files, dict) else ()
    kinds = {path: match for path in names if (match := _COMMAND_FILE.search(path)) and match["stage"] == stage}

    def order(path: str) -> tuple[int, str]:
        kind = kinds[path]["kind"]
        return (_KINDS.index(kind) if kind in _KINDS else len(_KINDS) + (kind == ".prompt.md"), path)

    yield from sorted(kinds, key=order)


def _json(shell: Shell, path: str) -> dict[str, Any]:
    """The content of one of Spec Kit's records; empty where there is none that can be read."""
    try:
        content = json.loads(shell.read(path).get(path, "").lstrip("\ufeff") or "{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
