"""What the model is told: the headless preamble, and the stage's command file as Spec Kit put it into the project."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass

from pytest_specbench.agents.base import Shell
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause

PLACES = (
    ".agent/commands/speckit.{stage}.md",
    ".*/commands/speckit.{stage}.md",
    ".*/skills/speckit-{stage}/SKILL.md",
    ".*/prompts/speckit.{stage}.prompt.md",
    ".*/commands/speckit.{stage}.toml",
    ".*/workflows/speckit.{stage}.md",
    ".*/commands/{stage}.md",
    ".*/prompts/{stage}.prompt.md",
    ".*/prompts/{stage}.md",
    ".*/commands/{stage}.toml",
    ".specify/templates/commands/{stage}.md",
    "templates/commands/{stage}.md",
)
"""Where command files lie, today's spellings before older ones; the first place with a file wins."""

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

_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n.*?^---[ \t]*\r?\n?", re.DOTALL | re.MULTILINE)
_PLACEHOLDER = re.compile(r"\$\{?ARGUMENTS\}?|\{\{\s*(?:args|ARGS|ARGUMENTS)\s*\}\}|\{(?:ARGS|ARGUMENTS)\}")


@dataclass(frozen=True)
class StagePrompt:
    """A stage's prompt and the file it came from."""

    path: str
    text: str


def load_stage_prompt(shell: Shell, stage: str, arguments: str) -> StagePrompt:
    """Read the command file of `stage` from the sandbox and put `arguments` in.

    Raises BlockedError(CONFIGURATION) naming the places when there is none: the project was not set up.
    """
    places = [place.format(stage=stage) for place in PLACES]
    for place in places:
        found = {path: text for path, text in shell.read(place).items() if text.strip()}
        if found:
            path = min(found)
            return StagePrompt(path, render_prompt(found[path], arguments, toml=path.endswith(".toml")))
    raise BlockedError(
        f"the sandbox has no Spec Kit command file for the stage {stage!r}",
        cause=Cause.CONFIGURATION,
        where=shell.workdir,
        expected=f"one of {', '.join(places)}",
        hint="give the scenario a fixture of the type 'spec-kit', and name it among its prerequisites; "
        "in a terminal-bench task, put a folder from 'specify init' into the image",
    )


def render_prompt(text: str, arguments: str, *, toml: bool = False) -> str:
    """The prompt of a command file: without front matter, with the arguments in every placeholder's place.

    A file without a placeholder gets the arguments at its end.
    """
    if toml:
        text = _toml_prompt(text)
    body = _FRONT_MATTER.sub("", text, count=1).strip()
    rendered, count = _PLACEHOLDER.subn(lambda _: arguments, body)
    return rendered if count else f"{body}\n\n## User Input\n\n{arguments}"


def _toml_prompt(text: str) -> str:
    try:
        prompt = tomllib.loads(text).get("prompt")
    except tomllib.TOMLDecodeError as error:
        raise BlockedError(f"a command file is no valid TOML: {error}", cause=Cause.CONFIGURATION) from error
    if not isinstance(prompt, str):
        raise BlockedError("a command file in TOML has no text under 'prompt'", cause=Cause.CONFIGURATION)
    return prompt
