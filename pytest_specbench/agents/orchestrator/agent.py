"""The orchestrator as a terminal-bench agent: `tb run --agent-import-path` and our own trials load this class."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terminal_bench.agents.base_agent import AgentResult, BaseAgent
from terminal_bench.agents.failure_mode import FailureMode
from terminal_bench.terminal.tmux_session import TmuxSession
from terminal_bench.utils.logger import logger

import pytest_specbench
from pytest_specbench.agents.base import AgentOutcome, AgentTask, Shell
from pytest_specbench.agents.models import ModelClient, open_model
from pytest_specbench.agents.orchestrator.arguments import parse_arguments
from pytest_specbench.agents.orchestrator.budget import Budget
from pytest_specbench.agents.orchestrator.container_shell import ContainerShell
from pytest_specbench.agents.orchestrator.file_journal import FileJournal
from pytest_specbench.agents.orchestrator.harness import time_limit
from pytest_specbench.agents.orchestrator.pipeline import Pipeline
from pytest_specbench.agents.orchestrator.stages import DEFAULT_PATH, parse_command_path
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.metrics import Measurement
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import Journal
from pytest_specbench.scenarios.model import ModelDefaults

_LONGEST_SEC = 86_400.0
_FAILURE_MODES = {
    Cause.VERIFIED: FailureMode.NONE,
    Cause.AGENT_TIMEOUT: FailureMode.AGENT_TIMEOUT,
    Cause.TOKEN_LIMIT: FailureMode.CONTEXT_LENGTH_EXCEEDED,
}


class Result(AgentResult):  # type: ignore[misc]  # terminal_bench is not typed
    """What terminal-bench is told; as in its own `results.json`, tokens that nobody counted are null and not 0."""

    total_input_tokens: int | None = None
    total_output_tokens: int | None = None


class SpecKitOrchestrator(BaseAgent):  # type: ignore[misc]  # terminal_bench is not typed
    """Drives a model through Spec Kit's stages.

    Keyword arguments, as `tb run --agent-kwarg` gives them: `model_name` (LiteLLM name or `replay:CASSETTE`), the
    other fields of `ModelDefaults` such as `api_base` and `retries`, `command_path`, `max_steps`, `max_tokens`,
    `max_cost_usd`, `command_sec`, `timeout_sec`, and `OrchestratorOptions`. What terminal-bench itself passes is
    accepted, anything else is a UsageError.
    """

    def __init__(self, model_name: str | None = None, command_path: str = DEFAULT_PATH, **options: Any) -> None:
        self._arguments = parse_arguments(options)
        parse_command_path(command_path)
        options.setdefault("version", pytest_specbench.__version__)
        super().__init__(**options)
        self._model_name = model_name
        self._command_path = command_path
        self._budget: Budget | None = None
        self._timestamped_markers: list[tuple[float, str]] = []  # terminal-bench looks for it by this name

    @staticmethod
    def name() -> str:
        """Its registered name."""
        return "spec-kit-orchestrator"

    def drive(self, task: AgentTask, model: ModelClient, shell: Shell, journal: Journal) -> AgentOutcome:
        """Run the pipeline of a task. The way of our own trials."""
        self._budget = Budget(task.limits, model.live)
        return Pipeline(task, model, shell, journal, self._budget, self._arguments.options).run()

    def usage(self) -> Mapping[str, Measurement]:
        """What was used so far; may be asked from another thread."""
        return self._budget.usage() if self._budget else {}

    def perform_task(self, instruction: str, session: TmuxSession, logging_dir: Path | None = None) -> AgentResult:
        """Run the pipeline in the session's container. The way of terminal-bench.

        Why it ended is in terminal-bench's log and in the journal. What is nobody's failure has the failure mode
        `unknown`: an error that went through would be recorded as the agent's.
        """
        limit = time_limit(logging_dir, self._arguments.timeout_sec)
        deadline = time.monotonic() + (_LONGEST_SEC if limit.seconds is None else limit.seconds)
        log = logger.getChild(self.name())
        if limit.seconds is None:
            log.warning("terminal-bench's time limit is not known; --agent-kwarg timeout_sec=SECONDS sets one")
        try:
            with FileJournal(logging_dir) as journal:
                journal.event("time_limit", seconds=limit.seconds, source=limit.source)
                outcome = self._perform(self._task(self._render_instruction(instruction), deadline), session, journal)
        except BlockedError as error:
            log.error("nothing can be said about the agent (%s): %s", error.cause, error)  # noqa: TRY400 - no bug
            return self._result(FailureMode.UNKNOWN)
        if outcome.cause is not Cause.VERIFIED:
            log.warning("the agent failed (%s): %s", outcome.cause, outcome.reason)
        return self._result(_FAILURE_MODES.get(outcome.cause, FailureMode.UNKNOWN_AGENT_ERROR))

    def _perform(self, task: AgentTask, session: TmuxSession, journal: FileJournal) -> AgentOutcome:
        model = open_model(task)
        self._budget = Budget(task.limits, model.live)
        shell = ContainerShell(
            session.container,
            journal,
            user=str(vars(session).get("_user") or ""),  # the session tells its user to nobody
            command_sec=task.limits.command_sec,
            deadline=task.deadline,
        )
        # Where nothing is typed, a recording's clock stands still at its last event: only its start is of use.
        offset = _recording_time(session) - time.monotonic()
        outcome = Pipeline(
            task,
            model,
            shell,
            journal,
            self._budget,
            self._arguments.options,
            on_stage=lambda stage: self._timestamped_markers.append((offset + time.monotonic(), stage)),
        ).run()
        journal.event("outcome", cause=str(outcome.cause), reason=outcome.reason, notes=list(outcome.notes))
        return outcome

    def _result(self, failure_mode: FailureMode) -> Result:
        usage = self.usage()
        return Result(
            total_input_tokens=_whole(usage.get("input_tokens")),
            total_output_tokens=_whole(usage.get("output_tokens")),
            failure_mode=failure_mode,
            timestamped_markers=self._timestamped_markers,
        )

    def _task(self, instruction: str, deadline: float) -> AgentTask:
        defaults = ModelDefaults(name=self._model_name, **self._arguments.model) if self._model_name else None
        return AgentTask(
            scenario_id="terminal-bench",
            instruction=instruction,
            command_path=self._command_path,
            limits=self._arguments.limits,
            approval_mode="full-access",
            deadline=deadline,
            model=self._model_name,
            model_defaults=defaults,
        )


def _whole(measurement: Measurement | None) -> int | None:
    return None if measurement is None or measurement.value is None else int(measurement.value)


def _recording_time(session: TmuxSession) -> float:
    """Seconds into the session's recording; 0 where there is none yet."""
    try:
        return float(session.get_asciinema_timestamp())
    except ValueError:
        return 0.0
