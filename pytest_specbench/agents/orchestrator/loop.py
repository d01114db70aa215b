"""One stage's conversation: reply, commands, results, until a reply asks for no command."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_specbench.agents.base import CommandResult, Shell
from pytest_specbench.agents.models.base import (
    MALFORMED_ARGUMENTS,
    ModelClient,
    ModelReply,
    ModelRequest,
    assistant_message,
    tool_message,
)
from pytest_specbench.agents.orchestrator.budget import Budget
from pytest_specbench.agents.orchestrator.options import OrchestratorOptions
from pytest_specbench.agents.orchestrator.prompts import SHELL_TOOL, SYSTEM_PROMPT
from pytest_specbench.core.errors import AgentError
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import Journal, ToolCall

CUT_NOTICE = "Your reply was cut at the output limit. Go on; write large files in several commands."


@dataclass
class StageLoop:
    """Drives a model through stages, each a conversation of its own. Counts over all stages live here."""

    model: ModelClient
    shell: Shell
    journal: Journal
    budget: Budget
    options: OrchestratorOptions
    deadline: float
    _denials: int = 0
    _errors: int = 0
    _ids: set[str] = field(default_factory=set)

    def run(self, stage: str, prompt: str) -> int:
        """Talk until a reply without a tool call; returns how many commands ran."""
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": SYSTEM_PROMPT},
            {"role": "user", "content": prompt},
        ]
        self.journal.message("user", prompt, extra={"stage": stage})
        exit_codes: tuple[int | None, ...] = ()
        commands = 0
        for step in itertools.count(1):
            self.budget.before_request()
            request = ModelRequest(
                stage, step, tuple(messages), (SHELL_TOOL,), self.deadline, exit_codes, self.shell.workdir
            )
            reply = self._complete(request)
            messages.append(assistant_message(reply.content, reply.tool_calls))
            if not reply.tool_calls and reply.finish_reason != "length":
                return commands
            if not reply.tool_calls:
                messages.append({"role": "user", "content": CUT_NOTICE})
                self.journal.message("user", CUT_NOTICE, extra={"stage": stage})
            results = list(self._act(reply))
            exit_codes = tuple(result.exit_code for _, result in results if isinstance(result, CommandResult))
            commands += len(exit_codes)
            messages += [
                tool_message(call.tool_call_id, observation(result, self.options.output_limit))
                for call, result in results
            ]
        raise AssertionError("unreachable: the count does not end")

    def _complete(self, request: ModelRequest) -> ModelReply:
        """Ask, count, take down; a reply over a limit is taken down before the limit stops the trial."""
        reply = self.model.complete(request)
        reply = replace(reply, tool_calls=self._unique(reply.tool_calls))
        self.budget.add(reply)
        self._step_id = self.journal.message(
            "agent",
            reply.content,
            model_name=reply.model_name or self.model.name,
            reasoning=reply.reasoning,
            tool_calls=reply.tool_calls,
            usage=reply.usage,
            extra={"stage": request.stage, "stage_step": request.step, "model_wait_ms": reply.wait_ms},
        )
        self.budget.check()
        return reply

    def _act(self, reply: ModelReply) -> Iterator[tuple[ToolCall, CommandResult | str]]:
        """Run the calls in order; a call that cannot be understood yields the text that says why."""
        for call in reply.tool_calls:
            problem = call_problem(call)
            result = self.shell.run(call.arguments["command"]) if problem is None else problem
            self.journal.observation(
                self._step_id, observation(result, self.options.output_limit), tool_call_id=call.tool_call_id
            )
            self._count(result)
            yield call, result

    def _count(self, result: CommandResult | str) -> None:
        """Stop an agent that keeps trying what it may not, or keeps asking for nonsense."""
        denied = isinstance(result, CommandResult) and result.denied
        self._denials = self._denials + 1 if denied else 0
        self._errors = self._errors + 1 if isinstance(result, str) else 0
        if self._denials >= self.options.max_denials:
            raise AgentError(f"{self._denials} commands in a row were denied", cause=Cause.DENIED)
        if self._errors >= self.options.max_errors:
            raise AgentError(f"{self._errors} tool calls in a row were malformed", cause=Cause.AGENT_GAVE_UP)

    def _unique(self, calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
        """Calls with ids that are unique in the whole trajectory: some providers count anew in every reply."""
        renamed = []
        for call in calls:
            candidates = (f"{call.tool_call_id}-{number}" for number in itertools.count(2))
            tool_call_id = call.tool_call_id
            while tool_call_id in self._ids:
                tool_call_id = next(candidates)
            self._ids.add(tool_call_id)
            renamed.append(replace(call, tool_call_id=tool_call_id))
        return tuple(renamed)


def call_problem(call: ToolCall) -> str | None:
    """Why a tool call cannot be carried out, for the model to read; null when it can."""
    if call.function_name != "shell":
        return f"error: there is no tool {call.function_name!r}; the only tool is 'shell' with a string 'command'"
    if MALFORMED_ARGUMENTS in call.arguments:
        return 'error: the arguments are no JSON object; expected {"command": "..."}'
    command = call.arguments.get("command")
    if not isinstance(command, str) or not command.strip():
        return 'error: \'command\' is missing, empty or no string; expected {"command": "..."}'
    unknown = sorted(set(call.arguments) - {"command"})
    return f'error: unknown argument {unknown[0]!r}; expected {{"command": "..."}}' if unknown else None


def observation(result: CommandResult | str, limit: int) -> str:
    """What the model gets to see of a result: the exit code first, then the output, cut in the middle at `limit`."""
    if isinstance(result, str):
        return result
    code = "none (killed at its time limit)" if result.exit_code is None else str(result.exit_code)
    denied = " (denied, it did not run)" if result.denied else ""
    return f"exit code: {code}{denied}\n{cut(result.output, limit)}"


def cut(text: str, limit: int) -> str:
    """Head and tail of a text longer than `limit` characters, with a mark between them."""
    if len(text) <= limit:
        return text
    head = limit // 2
    tail = limit - head
    return f"{text[:head]}\n[... {len(text) - limit} characters left out ...]\n{text[-tail:]}"
