"""What the model used, and the limits on it. What a provider did not report is unknown, and no limit is held by it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_specbench.agents.models.base import ModelReply
from pytest_specbench.agents.models.replay import NOT_MEASURED
from pytest_specbench.core.errors import AgentError, BlockedError
from pytest_specbench.core.metrics import Measurement
from pytest_specbench.core.status import Cause
from pytest_specbench.scenarios.model import Limits

_SUMMED = ("input_tokens", "output_tokens", "cached_tokens", "cost_usd")


@dataclass
class Budget:
    """Counts replies, tokens and cost, and says when a limit is reached. `live` is false for a replay, whose tokens and
    cost are not measured and therefore not limited. Another thread may read `usage` at any time.
    """

    limits: Limits
    live: bool
    _replies: list[ModelReply] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def before_request(self) -> None:
        """Raises AgentError(STEP_LIMIT) when no further reply may be asked for."""
        limit = self.limits.steps
        if limit is not None and len(self._replies) >= limit:
            raise AgentError(f"the limit of {limit} steps is used up", cause=Cause.STEP_LIMIT)

    def add(self, reply: ModelReply) -> None:
        """Count a reply."""
        with self._lock:
            self._replies.append(reply)

    def check(self) -> None:
        """Raises AgentError(TOKEN_LIMIT or COST_LIMIT) over a limit, BlockedError where a limit cannot be held."""
        if not self.live:
            return
        used = self.usage()
        if self.limits.tokens is not None:
            tokens = _known(used["input_tokens"], "tokens") + _known(used["output_tokens"], "tokens")
            if tokens > self.limits.tokens:
                raise AgentError(
                    f"{tokens:.0f} tokens are used, more than the limit of {self.limits.tokens}",
                    cause=Cause.TOKEN_LIMIT,
                )
        if self.limits.cost_usd is not None:
            cost = _known(used["cost_usd"], "cost_usd")
            if cost > self.limits.cost_usd:
                raise AgentError(
                    f"{cost:.4f} USD are spent, more than the limit of {self.limits.cost_usd}", cause=Cause.COST_LIMIT
                )

    def usage(self) -> Mapping[str, Measurement]:
        """The metrics so far."""
        with self._lock:
            replies = list(self._replies)
        measured = {
            "steps": Measurement(value=len(replies)),
            "model_wait_ms": Measurement(value=sum(reply.wait_ms for reply in replies)),
        }
        return measured | {name: self._sum(name, replies) for name in _SUMMED}

    def _sum(self, name: str, replies: list[ModelReply]) -> Measurement:
        if not self.live:
            return Measurement.unknown(NOT_MEASURED)
        values = [getattr(reply.usage, name) for reply in replies]
        missing = [reply for reply, value in zip(replies, values, strict=True) if value is None]
        if not missing:
            return Measurement(value=sum(values))
        extra = missing[0].usage.extra
        reasons = {"cost_usd": "cost_reason", "cached_tokens": "cached_reason"}
        why = extra.get(reasons.get(name, ""), extra.get("usage_reason", "the provider did not report it"))
        return Measurement.unknown(f"{len(missing)} of {len(replies)} replies: {why}")


def _known(measurement: Measurement, limit: str) -> float:
    if measurement.value is None:
        raise BlockedError(
            f"limits.{limit} is set and cannot be held: {measurement.reason}",
            cause=Cause.METRIC_UNMEASURED,
            where=f"limits.{limit}",
            expected="a provider that reports usage, and a model with a price where cost is limited",
            hint="give the scenario's model its prices, or remove the limit",
        )
    return float(measurement.value)
