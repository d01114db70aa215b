"""The orchestrator as a terminal-bench agent: `tb run --agent-import-path` and our own trials load this class."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from terminal_bench.agents.base_agent import AgentResult, BaseAgent
from terminal_bench.agents.failure_mode import FailureMode
from terminal_bench.terminal.tmux_session import TmuxSession

import pytest_specbench
from pytest_specbench.agents.base import AgentOutcome, AgentTask, Shell
from pytest_specbench.agents.models import ModelClient, open_model
from pytest_specbench.agents.orchestrator.budget import Budget
from pytest_specbench.agents.orchestrator.container_shell import ContainerShell
from pytest_specbench.agents.orchestrator.file_journal import FileJournal
from pytest_specbench.agents.orchestrator.options import OrchestratorOptions, parse_options
from pytest_specbench.agents.orchestrator.pipeline import Pipeline
from pytest_specbench.agents.orchestrator.stages import DEFAULT_PATH, parse_command_path
from pytest_specbench.core.errors import UsageError
from pytest_specbench.core.metrics import Measurement
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import Journal
from pytest_specbench.scenarios.model import Limits, ModelDefaults

_OWN_OPTIONS = tuple(option.name for option in fields(OrchestratorOptions))
_PASSED_BY_TERMINAL_BENCH = ("version", "prompt_template", "no_rebuild", "dataset_path", "task_ids")
_LIMITS = ("max_steps", "max_tokens", "max_cost_usd", "command_sec", "timeout_sec")
_LONGEST_SEC = 86_400.0
_FAILURE_MODES = {
    Cause.VERIFIED: FailureMode.NONE,
    Cause.AGENT_TIMEOUT: FailureMode.AGENT_TIMEOUT,
    Cause.TOKEN_LIMIT: FailureMode.CONTEXT_LENGTH_EXCEEDED,
}


class SpecKitOrchestrator(BaseAgent):  # type: ignore[misc]  # terminal_bench is not typed
    """Drives a model through Spec Kit's stages.

    Keyword arguments, as `tb run --agent-kwarg` gives them: `model_name` (LiteLLM name or `replay:CASSETTE`),
    `api_base`, `command_path`, `max_steps`, `max_tokens`, `max_cost_usd`, `command_sec`, `timeout_sec` (terminal-bench
    does not tell an agent its deadline), and `OrchestratorOptions`. What terminal-bench itself passes is accepted,
    anything else is a UsageError.
    """

    def __init__(
        self,
        model_name: str | None = None,
        api_base: str | None = None,
        command_path: str = DEFAULT_PATH,
        **options: Any,
    ) -> None:
        _refuse_unknown(options)
        options.setdefault("version", pytest_specbench.__version__)
        super().__init__(**options)
        parse_command_path(command_path)
        self._model_name = model_name
        self._api_base = api_base
        self._command_path = command_path
        self._limits = {name: options[name] for name in _LIMITS if options.get(name) is not None}
        self._options = parse_options({name: options[name] for name in _OWN_OPTIONS if name in options})
        self._budget: Budget | None = None

    @staticmethod
    def name() -> str:
        """Its registered name."""
        return "spec-kit-orchestrator"

    def drive(self, task: AgentTask, model: ModelClient, shell: Shell, journal: Journal) -> AgentOutcome:
        """Run the pipeline of a task. The way of our own trials."""
        self._budget = Budget(task.limits, model.live)
        return Pipeline(task, model, shell, journal, self._budget, self._options).run()

    def usage(self) -> Mapping[str, Measurement]:
        """What was used so far; may be asked from another thread."""
        return self._budget.usage() if self._budget else {}

    def perform_task(self, instruction: str, session: TmuxSession, logging_dir: Path | None = None) -> AgentResult:
        """Run the pipeline in the session's container. The way of terminal-bench.

        A BlockedError or InfrastructureError goes through: terminal-bench has no word for what is nobody's failure.
        """
        task = self._task(self._render_instruction(instruction))
        model = open_model(task)
        self._budget = Budget(task.limits, model.live)
        markers: list[tuple[float, str]] = []
        with FileJournal(logging_dir) as journal:
            shell = ContainerShell(
                session.container,
                journal,
                user=str(vars(session).get("_user") or ""),  # the session tells its user to nobody
                command_sec=task.limits.command_sec,
                deadline=task.deadline,
            )
            outcome = Pipeline(
                task,
                model,
                shell,
                journal,
                self._budget,
                self._options,
                on_stage=lambda stage: markers.append((_recording_time(session), stage)),
            ).run()
            journal.event("outcome", cause=str(outcome.cause), reason=outcome.reason, notes=list(outcome.notes))
        return AgentResult(
            total_input_tokens=_whole(outcome.usage["input_tokens"]),
            total_output_tokens=_whole(outcome.usage["output_tokens"]),
            failure_mode=_FAILURE_MODES.get(outcome.cause, FailureMode.UNKNOWN_AGENT_ERROR),
            timestamped_markers=markers,
        )

    def _task(self, instruction: str) -> AgentTask:
        limits = {
            "steps": "max_steps",
            "tokens": "max_tokens",
            "cost_usd": "max_cost_usd",
            "command_sec": "command_sec",
        }
        given = {field: self._limits[option] for field, option in limits.items() if option in self._limits}
        defaults = ModelDefaults(name=self._model_name, api_base=self._api_base) if self._model_name else None
        return AgentTask(
            scenario_id="terminal-bench",
            instruction=instruction,
            command_path=self._command_path,
            limits=Limits.model_validate(given),
            approval_mode="full-access",
            deadline=time.monotonic() + float(self._limits.get("timeout_sec", _LONGEST_SEC)),
            model=self._model_name,
            model_defaults=defaults,
        )


def _refuse_unknown(options: Mapping[str, Any]) -> None:
    known = [*_OWN_OPTIONS, *_LIMITS, *_PASSED_BY_TERMINAL_BENCH, "model_name", "api_base", "command_path"]
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise UsageError(
                f"the orchestrator has no option {name!r}",
                expected=f"one of {', '.join(known)}" + (f"; the nearest is {near[0]!r}" if near else ""),
            )


def _whole(measurement: Measurement) -> int:
    """Tokens for terminal-bench, whose form has no null: 0 where they are unknown."""
    return int(measurement.value or 0)


def _recording_time(session: TmuxSession) -> float:
    """Seconds into the session's recording; 0 where there is none yet."""
    try:
        return float(session.get_asciinema_timestamp())
    except ValueError:
        return 0.0
