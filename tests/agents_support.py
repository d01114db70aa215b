"""What the tests of the agents share: a shell over a temporary folder, a journal in memory, a real Spec Kit tree."""

from __future__ import annotations

import glob
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_specbench.agents.base import AgentTask, CommandResult
from pytest_specbench.agents.models.base import ModelRequest
from pytest_specbench.agents.orchestrator.prompts import SHELL_TOOL
from pytest_specbench.recording.journal import StepUsage, ToolCall
from pytest_specbench.scenarios.model import Limits


@dataclass
class FolderShell:
    """`agents.base.Shell` over a folder: real processes, real time limits; what contains a word of `deny` is denied."""

    folder: Path
    deny: tuple[str, ...] = ()
    commands: list[str] = field(default_factory=list)

    @property
    def workdir(self) -> str:
        return str(self.folder)

    def run(self, command: str, *, timeout_sec: float | None = None) -> CommandResult:
        self.commands.append(command)
        if any(word in command for word in self.deny):
            return CommandResult(126, "denied: not allowed here\n", denied=True)
        with subprocess.Popen(
            ["sh", "-c", command],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                limit = None if timeout_sec is None or math.isinf(timeout_sec) else timeout_sec
                output, _ = process.communicate(timeout=limit or 60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
                return CommandResult(None, output.decode(errors="replace"))
        return CommandResult(process.returncode, output.decode(errors="replace"))

    def read(self, pattern: str) -> dict[str, str]:
        # As the sandbox: paths are relative, and a bracket is a letter like any other.
        found = glob.glob(pattern.replace("[", "[[]"), root_dir=self.folder)  # noqa: PTH207
        return {path: (self.folder / path).read_text() for path in found if (self.folder / path).is_file()}


@dataclass
class Step:
    """One step of the journal."""

    source: str
    text: str
    tool_calls: Sequence[ToolCall]
    usage: StepUsage | None
    extra: Mapping[str, Any]
    observations: list[tuple[str | None, str]] = field(default_factory=list)


@dataclass
class MemoryJournal:
    """`recording.journal.Journal` in memory."""

    steps: list[Step] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def message(
        self,
        source: str,
        text: str,
        *,
        model_name: str | None = None,
        reasoning: str | None = None,
        tool_calls: Sequence[ToolCall] = (),
        usage: StepUsage | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> int:
        self.steps.append(Step(source, text, tool_calls, usage, dict(extra or {})))
        return len(self.steps)

    def observation(self, step_id: int, content: str, *, tool_call_id: str | None = None) -> None:
        self.steps[step_id - 1].observations.append((tool_call_id, content))

    def command(self, command: str) -> None:
        pass

    def output(self, chunk: bytes) -> None:
        pass

    def event(self, name: str, **details: Any) -> None:
        self.events.append((name, details))

    def of(self, source: str) -> list[Step]:
        """The steps of one source."""
        return [step for step in self.steps if step.source == source]


def task(**changes: Any) -> AgentTask:
    """A task with far limits."""
    values: dict[str, Any] = {
        "scenario_id": "demo",
        "instruction": "Count words in a text.",
        "command_path": "/specify",
        "limits": Limits(),
        "approval_mode": "full-access",
        "deadline": math.inf,
    }
    return AgentTask(**{**values, **changes})


def asked(step: int, *, stage: str = "specify", prompt: str = "Do it.", tools: Any = (SHELL_TOOL,)) -> ModelRequest:
    """A request without results before it."""
    messages = [{"role": "system", "content": "system"}, {"role": "user", "content": prompt}]
    return ModelRequest(stage, step, messages, tools, math.inf, (), "/w")


def init_project(folder: Path, integration: str = "generic") -> Path:
    """A project tree made by the real Spec Kit, off line."""
    specify = Path(sys.executable).with_name("specify")
    options = ["--integration-options=--commands-dir .agent/commands"] if integration == "generic" else []
    project = folder / "project"
    subprocess.run(
        [
            *(specify, "init", str(project), "--integration", integration, *options),
            *("--script", "sh", "--ignore-agent-tools", "--non-interactive"),
        ],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    return project


SPEC = """\
# Feature Specification: Word count

**Feature Branch**: `001-word-count`
**Created**: 2026-01-05
**Status**: Draft
**Input**: User description: "Count words in a text."

## User Scenarios & Testing

### User Story 1 - Count the words of a file (Priority: P1)

A writer wants to know how many words a file holds.

**Why this priority**: It is the whole product.

**Independent Test**: Run the program on a file with three words and read 3.

**Acceptance Scenarios**:

1. **Given** a file with three words, **When** the program runs on it, **Then** it prints 3

### Edge Cases

- An empty file has no words: the program prints 0.

## Requirements

### Functional Requirements

- **FR-001**: The program MUST print the number of words of the file it is given.
- **FR-002**: The program MUST print 0 for an empty file.

## Success Criteria

### Measurable Outcomes

- **SC-001**: Users get the right count for every text of up to a million words.

## Assumptions

- Words are what blanks separate.
"""

PLAN = """\
# Implementation Plan: Word count

**Branch**: `001-word-count` | **Date**: 2026-01-05 | **Spec**: specs/001-word-count/spec.md

## Summary

One shell script counts the words of a file.

## Technical Context

**Language/Version**: POSIX sh
**Primary Dependencies**: coreutils
**Storage**: files
**Testing**: a shell script
**Target Platform**: Linux

## Constitution Check

The constitution is empty; no gate applies.

## Project Structure

The script is `count.sh` at the root of the repository.

## Complexity Tracking

No violations.
"""

TASKS = """\
# Tasks: Word count

## Phase 1: Setup

- [ ] T001 Create the file count.sh

## Phase 2: User Story 1 - Count the words of a file (Priority: P1)

- [ ] T002 [US1] Write the script in count.sh
"""


def write(path: str, text: str) -> str:
    """A command that writes a file."""
    return f"mkdir -p \"$(dirname {path})\" && cat > {path} <<'END_OF_FILE'\n{text}END_OF_FILE"
