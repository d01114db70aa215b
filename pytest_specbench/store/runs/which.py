"""Which attempts at a scenario are asked for, as a condition on the rows of the index."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.status import Cause, Status
from pytest_specbench.store.runs.run_folder import hash_of, micros

_DID_NOT_PASS = (
    f"problem IS NOT NULL OR status NOT IN ('{Status.PASS}', '{Status.PROVISIONAL}', '{Status.BLOCKED}')"
    f" OR cause = '{Cause.ACKNOWLEDGED}'"
)


@dataclass(frozen=True)
class Which:
    """Which attempts at a scenario are meant, as `History.runs` says."""

    scenario_id: str
    like: BenchmarkRun | None
    blocked: bool
    attempts: bool

    def condition(self) -> tuple[str, list[object]]:
        """The condition on rows, and its values."""
        where, values = "scenario_id = ?", list[object]([self.scenario_id])
        where += f" AND (counts = 1 OR {_DID_NOT_PASS})" if self.attempts else " AND counts = 1"
        if not self.blocked:
            where += f" AND status IS NOT '{Status.BLOCKED}'"
        if self.like is not None:
            found = self.like.fingerprint
            # Attempts of its own run come before it, whatever the clock did meanwhile.
            where += (
                " AND executed_at <= max(?, coalesce((SELECT max(executed_at) FROM runs WHERE run_id = ?"
                " AND scenario_id = ?), 0)) AND (problem IS NOT NULL OR (instrument = ? AND host_class = ?))"
            )
            values += [
                micros(self.like.executed_at),
                str(self.like.run_id),
                self.scenario_id,
                None if found is None else hash_of(found.instrument),
                None if found is None else str(found.host.get("class")),
            ]
        return where, values
