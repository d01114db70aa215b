"""The agents without a model: the solution script, any command line, and nothing at all."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from agents_support import FolderShell, MemoryJournal, task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_specbench.agents import AGENTS
from pytest_specbench.agents.base import AgentOutcome
from pytest_specbench.agents.command import CommandAgent
from pytest_specbench.agents.nop import NopAgent
from pytest_specbench.agents.oracle import OracleAgent
from pytest_specbench.core.errors import BlockedError, UsageError
from pytest_specbench.core.status import Cause


@pytest.fixture
def shell(tmp_path: Path) -> FolderShell:
    return FolderShell(tmp_path)


def oracle(shell: FolderShell, solution: str, journal: MemoryJournal | None = None, **changes: Any) -> AgentOutcome:
    job = task(solution=solution, **changes)
    agent = OracleAgent()
    agent.prepare(job)
    return agent.run(job, shell, journal or MemoryJournal())


def command(shell: FolderShell, line: str, **changes: Any) -> AgentOutcome:
    job = task(**changes)
    agent = CommandAgent(command=line)
    agent.prepare(job)
    return agent.run(job, shell, MemoryJournal())


class TestOracle:
    def test_it_runs_the_solution_in_the_workdir(self, shell: FolderShell) -> None:
        outcome = oracle(shell, 'echo "it\'s done" > out.txt\n')
        assert (outcome.cause, outcome.exit_status, outcome.usage["steps"].value) == (Cause.VERIFIED, 0, 1)
        assert (shell.folder / "out.txt").read_text() == "it's done\n"

    def test_it_leaves_only_what_the_solution_made(self, shell: FolderShell) -> None:
        oracle(shell, "true")
        assert list(shell.folder.iterdir()) == []

    def test_bash_runs_what_names_no_interpreter(self, shell: FolderShell) -> None:
        assert oracle(shell, "set -o pipefail; words=(a b); [[ ${#words[@]} == 2 ]]").cause is Cause.VERIFIED

    def test_another_interpreter_may_be_named(self, shell: FolderShell) -> None:
        oracle(shell, f"#!{sys.executable}\nopen('out.txt', 'w').write('python')\n")
        assert (shell.folder / "out.txt").read_text() == "python"

    def test_a_failing_solution_is_the_agents_failure_with_its_exit_status(self, shell: FolderShell) -> None:
        outcome = oracle(shell, "echo broken >&2; exit 7")
        assert (outcome.cause, outcome.exit_status) == (Cause.AGENT_CRASHED, 7)
        assert "exit status 7: broken" in outcome.reason

    def test_a_solution_longer_than_one_command_may_be(self, shell: FolderShell) -> None:
        text = "x" * 70_000
        outcome = oracle(shell, f"cat > big.txt <<'EOF'\n{text}\n{text}\n\u00e4{text}\nEOF\n")
        assert outcome.cause is Cause.VERIFIED, outcome.reason
        assert (shell.folder / "big.txt").read_text() == f"{text}\n{text}\n\u00e4{text}\n"
        assert len(shell.commands) > 2

    def test_its_time_limit_is_the_deadline_of_the_phase(self, shell: FolderShell) -> None:
        outcome = oracle(shell, "sleep 60", deadline=time.monotonic() + 0.3)
        assert outcome.cause is Cause.AGENT_TIMEOUT

    def test_it_is_one_step_of_the_trajectory(self, shell: FolderShell) -> None:
        journal = MemoryJournal()
        oracle(shell, "echo hello", journal)
        [asked, step] = journal.steps
        assert (asked.source, asked.text) == ("user", task().instruction)
        assert step.observations == [("call_1", "exit code: 0\nhello\n")]

    def test_a_scenario_without_a_solution_blocks_before_the_clock_starts(self) -> None:
        with pytest.raises(BlockedError) as caught:
            OracleAgent().prepare(task())
        assert caught.value.cause is Cause.CONFIGURATION

    def test_what_it_would_cost_is_unknown(self, shell: FolderShell) -> None:
        usage = oracle(shell, "true").usage
        assert usage["cost_usd"].value is None
        assert usage["input_tokens"].reason == "the solution reports no usage"

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"])))
    def test_the_script_arrives_as_it_is(self, shell: FolderShell, text: str) -> None:
        oracle(shell, f"cat > out.txt <<'EOF'\n-{text}\nEOF\n")
        assert (shell.folder / "out.txt").read_bytes().decode() == f"-{text}\n"


class TestCommand:
    def test_it_runs_any_command_line(self, shell: FolderShell) -> None:
        assert command(shell, "echo 'a b' > out.txt && test -s out.txt").cause is Cause.VERIFIED

    def test_its_exit_status_is_recorded(self, shell: FolderShell) -> None:
        outcome = command(shell, "exit 42")
        assert (outcome.cause, outcome.exit_status) == (Cause.AGENT_CRASHED, 42)

    def test_a_failure_before_a_pipe_is_not_lost(self, shell: FolderShell) -> None:
        assert command(shell, "sh -c 'exit 5' | tee log.txt").exit_status == 5

    def test_the_instruction_is_in_a_variable(self, shell: FolderShell) -> None:
        command(shell, 'printf %s "$SPECBENCH_INSTRUCTION" > out.txt', instruction="it's $HOME `x`\n2")
        assert (shell.folder / "out.txt").read_text() == "it's $HOME `x`\n2"

    def test_an_instruction_that_is_too_long_for_a_command_blocks(self) -> None:
        with pytest.raises(BlockedError, match="too long"):
            CommandAgent(command="echo $SPECBENCH_INSTRUCTION").prepare(task(instruction="x" * 200_000))

    def test_at_the_deadline_it_is_killed(self, shell: FolderShell) -> None:
        assert command(shell, "sleep 60", deadline=time.monotonic() + 0.3).cause is Cause.AGENT_TIMEOUT

    @pytest.mark.parametrize("options", [{}, {"command": ""}, {"command": 3}, {"command": "true", "shell": "zsh"}])
    def test_wrong_options_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            CommandAgent(**options)

    def test_a_misspelt_option_names_the_nearest(self) -> None:
        with pytest.raises(UsageError, match="the nearest is 'command'"):
            CommandAgent(comand="true")

    def test_its_command_is_on_record(self) -> None:
        assert CommandAgent(command="true").configuration() == {"command": "true"}


def test_nop_does_nothing_and_is_content(shell: FolderShell) -> None:
    journal = MemoryJournal()
    outcome = NopAgent().run(task(), shell, journal)
    assert (outcome.cause, outcome.usage["steps"].value, shell.commands) == (Cause.VERIFIED, 0, [])
    assert [step.source for step in journal.steps] == ["user", "agent"]


@pytest.mark.parametrize("agent", [NopAgent, OracleAgent])
def test_agents_without_options_refuse_any(agent: Any) -> None:
    with pytest.raises(UsageError, match="no options"):
        agent(verbose=True)


@pytest.mark.parametrize(("name", "acts_freely"), [("oracle", True), ("command", True), ("nop", False)])
def test_registered_and_trusted(name: str, acts_freely: bool) -> None:
    agent = AGENTS.load(name)
    assert (agent.name, agent.acts_freely, agent.trusted) == (name, acts_freely, True)
    assert agent.version


def test_none_of_them_imports_anything_heavy() -> None:
    program = (
        "import sys; from pytest_specbench.agents import AGENTS; "
        "[AGENTS.load(name) for name in ('oracle', 'command', 'nop')];"
        "print(sorted({'terminal_bench', 'litellm', 'docker', 'pytest'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
