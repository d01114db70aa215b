"""The agent that knows the answer: it runs the scenario's solution script."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Mapping
from uuid import uuid4

import pytest_specbench
from pytest_specbench.agents.base import AgentOutcome, AgentTask, Shell
from pytest_specbench.agents.plain import no_options, run_single
from pytest_specbench.core.errors import BlockedError, InfrastructureError
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import Journal

_ONE_COMMAND_BYTES = 60_000  # the kernel takes 128 KiB for one argument
_CHUNK_BYTES = 60_000


class OracleAgent:
    """Runs the solution: a script with a `#!` line by its own interpreter, any other by bash where there is one, else
    by sh. Its exit status is the agent's. Takes no options.
    """

    name = "oracle"
    version = pytest_specbench.__version__
    takes_model = False
    acts_freely = True
    trusted = True
    trusted_in_replay = True

    def __init__(self, **options: Scalar) -> None:
        no_options(self.name, options)

    def prepare(self, task: AgentTask) -> None:
        if task.solution is None:
            raise BlockedError(
                f"scenario {task.scenario_id!r} has no solution, and the oracle runs nothing else",
                cause=Cause.CONFIGURATION,
                expected="the key 'solution' with the path of a script beside the scenario",
                hint="add a solution to the scenario, or choose another agent",
            )

    def run(self, task: AgentTask, shell: Shell, journal: Journal) -> AgentOutcome:
        self.prepare(task)
        script = task.solution or ""
        if len(script.encode()) <= _ONE_COMMAND_BYTES:
            command = _with_file(_here_document(script), script)
        else:
            command = _bring(script, shell)
        shown = "the scenario's solution script"
        return run_single(command, what="the solution", shown=shown, task=task, shell=shell, journal=journal)

    def configuration(self) -> Mapping[str, Scalar]:
        return {}


def _with_file(write: str, script: str) -> str:
    """A command line that writes the script to a temporary file, runs it, and removes the file."""
    run = '"$f"' if script.startswith("#!") else '"$(command -v bash || echo sh)" "$f"'
    return f'f=$(mktemp) || exit 1\n{write}\nchmod 700 "$f" && {run}\ncode=$?\nrm -f "$f"\nexit "$code"'


def _here_document(script: str) -> str:
    """A command that writes the script to `$f`, readable in the recording."""
    mark = f"END_OF_SOLUTION_{uuid4().hex[:8]}"
    return f"cat > \"$f\" <<'{mark}'\n{script}{'' if script.endswith('\n') else '\n'}{mark}"


def _bring(script: str, shell: Shell) -> str:
    """Write a long script in pieces; return the command that runs it."""
    made = shell.run("mktemp")
    path = made.output.strip()
    if made.exit_code != 0 or not path:
        raise InfrastructureError(f"the solution cannot be written to the sandbox: {made.output.strip()}")
    for piece in _pieces(script):
        written = shell.run(f"printf %s {piece} | base64 -d >> {shlex.quote(path)}")
        if written.exit_code != 0:
            raise InfrastructureError(f"the solution cannot be written to the sandbox: {written.output.strip()}")
    return _with_file(f'rm -f "$f"\nf={shlex.quote(path)}', script)


def _pieces(script: str) -> Iterator[str]:
    data = script.encode()
    for start in range(0, len(data), _CHUNK_BYTES):
        yield base64.b64encode(data[start : start + _CHUNK_BYTES]).decode()
