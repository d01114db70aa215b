"""Replays a cassette: the model says what it said, as long as it sees what it saw."""

from __future__ import annotations

import time
from difflib import unified_diff
from pathlib import Path

from pytest_specbench.agents.models.base import ModelReply, ModelRequest
from pytest_specbench.agents.models.cassette import Cassette, Entry, load_cassette
from pytest_specbench.agents.models.match import conversation_digest, shown_tail, tail_digest
from pytest_specbench.core.errors import AgentError, BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import StepUsage, ToolCall

NOT_MEASURED = "not measured under replay"


class ReplayOutcomeChangedError(AgentError):
    """A command ended with another exit code than the cassette expects: the subject changed, which is a finding."""

    def __init__(self, message: str) -> None:
        super().__init__(message, cause=Cause.REPLAY_OUTCOME_CHANGED)


class ReplayDivergedError(BlockedError):
    """Something other than an exit code differs from the cassette: nothing can be judged with it."""

    def __init__(self, message: str, *, where: str, hint: str | None = None) -> None:
        super().__init__(
            message,
            cause=Cause.REPLAY_DIVERGED,
            where=where,
            hint=hint or "if the change is wanted, record the cassette anew with --specbench-record",
        )


class ReplayModel:
    """A `ModelClient` that answers from a cassette, which it opens and checks at once."""

    live = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"replay:{path}"
        self.cassette: Cassette = load_cassette(path)
        self._replies = {(entry.stage, entry.step): entry for entry in self.cassette.replies}
        self._asked: set[tuple[str, int]] = set()

    def entry(self, stage: str, step: int) -> Entry | None:
        """What the cassette has for a step."""
        return self._replies.get((stage, step))

    def complete(self, request: ModelRequest) -> ModelReply:
        started = time.monotonic()
        entry = self.entry(request.stage, request.step)
        if entry is None:
            raise ReplayDivergedError(
                f"the cassette has no reply for step {request.step} of stage {request.stage!r}\n"
                + self._diff(self._known_steps(), f"{request.stage} step {request.step}", "replies", ""),
                where=str(self.path),
            )
        self._check(entry, request)
        self._asked.add((request.stage, request.step))
        reply = entry.reply
        return ModelReply(
            content=reply.content,
            reasoning=reply.reasoning,
            tool_calls=tuple(ToolCall(call.id, call.name, call.arguments) for call in reply.tool_calls),
            usage=StepUsage(extra={"usage_reason": NOT_MEASURED, "cost_reason": NOT_MEASURED}),
            wait_ms=(time.monotonic() - started) * 1000,
            model_name=self.cassette.model,
            finish_reason="length" if reply.cut else "tool_calls" if reply.tool_calls else "stop",
        )

    def finish(self, *, content: bool) -> None:
        left = [f"{stage} step {step}" for stage, step in self._replies if (stage, step) not in self._asked]
        if content and left:
            shown = ", ".join(left[:10])
            raise ReplayDivergedError(
                f"the agent ended, and {len(left)} replies of the cassette were never asked for: {shown}",
                where=str(self.path),
            )

    def close(self) -> None:
        """Nothing is under way."""

    def _check(self, entry: Entry, request: ModelRequest) -> None:
        """Compare in the order: tools, exit codes, tail, conversation. The first difference decides."""
        expects, here = entry.expects, f"{entry.stage} step {entry.step}"
        where = f"{self.path}: {here}"
        if entry.tools != request.tool_names:
            diff = self._diff("\n".join(entry.tools), "\n".join(request.tool_names), "tools", "")
            raise ReplayDivergedError(f"other tools are offered\n{diff}", where=where)
        observed = list(request.exit_codes)
        if expects.exit_codes is not None and expects.exit_codes != observed:
            diff = self._diff(_codes(expects.exit_codes), _codes(observed), "exit codes", "")
            raise ReplayOutcomeChangedError(
                f"{self.path.name}: {here}: exit codes of commands changed\n{diff}\n{shown_tail(request)}".rstrip()
            )
        if expects.tail is not None and expects.tail != (digest := tail_digest(request)):
            diff = (
                self._diff(expects.text, shown_tail(request), "results", "")
                if expects.text is not None
                else self._diff(expects.tail, digest, "results", shown_tail(request))
            )
            raise ReplayDivergedError(f"the results of the commands changed\n{diff}", where=where)
        strict = self.cassette.match == "strict" and expects.conversation is not None
        if strict and expects.conversation != (digest := conversation_digest(request)):
            diff = self._diff(str(expects.conversation), digest, "conversation", "")
            raise ReplayDivergedError(f"the conversation changed (match: strict)\n{diff}", where=where)

    def _known_steps(self) -> str:
        return "\n".join(f"{stage} step {step}" for stage, step in self._replies)

    @staticmethod
    def _diff(expected: str, observed: str, what: str, more: str) -> str:
        lines = unified_diff(
            expected.splitlines(), observed.splitlines(), f"{what} expected", f"{what} observed", lineterm="", n=2
        )
        return "\n".join([*lines, *([more] if more else [])])


def _codes(codes: list[int | None]) -> str:
    return "\n".join("killed at its time limit" if code is None else str(code) for code in codes)
