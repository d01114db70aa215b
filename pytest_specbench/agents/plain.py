"""What the agents without a model of ours have in common: one command line, its exit status, no tokens."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from pytest_specbench.agents.base import AgentOutcome, AgentTask, Shell
from pytest_specbench.core.deadline import remaining
from pytest_specbench.core.errors import UsageError
from pytest_specbench.core.metrics import Measurement
from pytest_specbench.core.records import Scalar
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import Journal, ToolCall

_MODEL_METRICS = ("input_tokens", "output_tokens", "cached_tokens", "cost_usd", "model_wait_ms")
_SHOWN_OUTPUT = 16_000
_SHOWN_REASON = 500


def usage_without_model(steps: int, reason: str) -> dict[str, Measurement]:
    """Usage of an agent whose model, if any, is unknown to us: `steps`, and null with the reason for the rest."""
    return {"steps": Measurement(value=steps)} | {name: Measurement.unknown(reason) for name in _MODEL_METRICS}


def known_options(agent: str, options: Mapping[str, Scalar], names: tuple[str, ...]) -> None:
    """Raises UsageError for an option that is not among `names`."""
    for name in options:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            raise UsageError(
                f"the agent {agent!r} has no option {name!r}",
                where="agent.options",
                expected=(f"one of {', '.join(names)}" if names else "no options")
                + (f"; the nearest is {near[0]!r}" if near else ""),
            )


def no_options(agent: str, options: Mapping[str, Scalar]) -> None:
    """Raises UsageError for any option."""
    known_options(agent, options, ())


def run_single(command: str, *, what: str, shown: str, task: AgentTask, shell: Shell, journal: Journal) -> AgentOutcome:
    """Run one command line until the phase's deadline, as one step of the trajectory.

    `what` names it in reasons, `shown` is the command as people should see it. An exit status other than 0 is the cause
    `agent_crashed`.
    """
    journal.message("user", task.instruction)
    call = ToolCall("call_1", "shell", {"command": shown})
    step = journal.message("agent", f"Running {what}.", tool_calls=[call])
    result = shell.run(command, timeout_sec=max(remaining(task.deadline), 0.001))
    code = "none (killed at its time limit)" if result.exit_code is None else str(result.exit_code)
    journal.observation(step, f"exit code: {code}\n{_cut(result.output)}", tool_call_id=call.tool_call_id)
    usage = usage_without_model(1, f"{what} reports no usage")
    if result.denied:
        return AgentOutcome(Cause.DENIED, f"{what} was denied: {result.output.strip()}", 1, usage)
    if result.exit_code is None:
        return AgentOutcome(Cause.AGENT_TIMEOUT, f"{what} was killed at the deadline", 1, usage)
    if result.exit_code != 0:
        last = result.output.strip()[-_SHOWN_REASON:]
        reason = f"{what} ended with exit status {result.exit_code}" + (f": {last}" if last else "")
        return AgentOutcome(Cause.AGENT_CRASHED, reason, result.exit_code, usage)
    return AgentOutcome(usage=usage)


def _cut(text: str) -> str:
    if len(text) <= _SHOWN_OUTPUT:
        return text
    half = _SHOWN_OUTPUT // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
