"""What a session has spent on models, over all scenarios and processes, and the cap on it."""

from __future__ import annotations

import json
from pathlib import Path

from filelock import FileLock

from pytest_specbench.agents.models.base import ModelClient, ModelReply, ModelRequest
from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.status import Cause


class SpendLedger:
    """An append-only file of costs that all processes of a session share; a lock file lies beside it.

    `cap_usd` is the cap for the whole session in USD, null for none.
    """

    def __init__(self, path: Path, cap_usd: float | None = None) -> None:
        self.path = path
        self.cap_usd = cap_usd
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{path}.lock")

    def total(self) -> float:
        """USD spent so far. Raises BlockedError(SESSION_COST_CAP) when the ledger cannot be read: then nobody knows."""
        with self._lock:
            return self._sum()

    def add(self, cost_usd: float, *, what: str) -> float:
        """Enter a cost; returns the new total."""
        with self._lock:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"cost_usd": cost_usd, "what": what}) + "\n")
            return self._sum()

    def check(self) -> None:
        """Raises BlockedError(SESSION_COST_CAP) when the cap is reached."""
        if self.cap_usd is not None and (spent := self.total()) >= self.cap_usd:
            raise BlockedError(
                f"the session has spent {spent:.4f} USD, and its cap is {self.cap_usd:.4f} USD",
                cause=Cause.SESSION_COST_CAP,
                where=str(self.path),
                hint="raise the session's cost cap, or run fewer scenarios",
            )

    def _sum(self) -> float:
        if not self.path.exists():
            return 0.0
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
            return sum(float(json.loads(line)["cost_usd"]) for line in lines)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BlockedError(
                f"the ledger of the session's cost cannot be read: {error}",
                cause=Cause.SESSION_COST_CAP,
                where=str(self.path),
                hint="start a new run",
            ) from error


class LedgeredModel:
    """A `ModelClient` that asks the ledger before each request and enters the cost after it.

    A cost that is unknown under a cap is BlockedError(METRIC_UNMEASURED). Requests under way at the same time in
    several processes are each checked before they are sent, so the cap can be passed by one reply a process.
    """

    def __init__(self, inner: ModelClient, ledger: SpendLedger) -> None:
        self._inner = inner
        self._ledger = ledger

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._inner.name

    @property
    def live(self) -> bool:
        """Whether the model is live."""
        return self._inner.live

    def complete(self, request: ModelRequest) -> ModelReply:
        self._ledger.check()
        reply = self._inner.complete(request)
        cost = reply.usage.cost_usd
        if cost is not None:
            self._ledger.add(cost, what=f"{reply.model_name} {request.stage} {request.step}")
        elif self._ledger.cap_usd is not None:
            why = reply.usage.extra.get("cost_reason")
            raise BlockedError(
                f"the session has a cost cap, and the cost of a reply is unknown: {why}",
                cause=Cause.METRIC_UNMEASURED,
                expected="a model with a known price, and a provider that reports usage",
                hint="give the scenario's model its prices, or remove the cap",
            )
        return reply

    def finish(self, *, content: bool) -> None:
        self._inner.finish(content=content)

    def close(self) -> None:
        self._inner.close()
