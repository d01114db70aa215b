"""The agent that is any command line in the sandbox, for example a headless agent that the image brings along."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import pytest_specbench
from pytest_specbench.agents.base import AgentOutcome, AgentTask, Shell
from pytest_specbench.agents.plain import known_options, run_single
from pytest_specbench.core.errors import BlockedError, UsageError
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import Journal

INSTRUCTION = "SPECBENCH_INSTRUCTION"
"""Variable in which the command line finds the scenario's instruction."""

_LONGEST_BYTES = 100_000  # the kernel takes 128 KiB for one argument


class CommandAgent:
    """Runs the option `command` by bash with `pipefail`, so that a failure before `| tee` is not lost, or by sh where
    there is no bash. The instruction is in `$SPECBENCH_INSTRUCTION`. The exit status is the agent's.
    """

    name = "command"
    version = pytest_specbench.__version__
    takes_model = False
    acts_freely = True
    trusted = True
    trusted_in_replay = True

    def __init__(self, **options: Scalar) -> None:
        known_options(self.name, options, ("command",))
        command = options.get("command")
        if not isinstance(command, str) or not command.strip():
            raise UsageError(
                "the agent 'command' needs its command line",
                where="agent.options.command",
                expected="a text, for example: make demo | tee log.txt",
            )
        self._command = command

    def prepare(self, task: AgentTask) -> None:
        if len(self._line(task).encode()) > _LONGEST_BYTES:
            raise BlockedError(
                f"command line and instruction of scenario {task.scenario_id!r} are too long for one command",
                cause=Cause.CONFIGURATION,
                expected=f"at most {_LONGEST_BYTES} bytes",
                hint="put the instruction into a file with a fixture, and let the command read it",
            )

    def run(self, task: AgentTask, shell: Shell, journal: Journal) -> AgentOutcome:
        line = self._line(task)
        return run_single(line, what="the command", shown=self._command, task=task, shell=shell, journal=journal)

    def configuration(self) -> Mapping[str, Scalar]:
        return {"command": self._command}

    def _line(self, task: AgentTask) -> str:
        command = shlex.quote(self._command)
        export = ""
        if INSTRUCTION in self._command:
            export = f"export {INSTRUCTION}={shlex.quote(task.instruction)}\n"
        bash = f"exec bash -o pipefail -c {command}"
        return f"{export}if command -v bash >/dev/null 2>&1; then {bash}; fi\nexec sh -c {command}"
