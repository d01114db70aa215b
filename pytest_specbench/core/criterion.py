"""When trials alone are a success."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Criterion:
    """When the trials alone are a success."""

    min_rate: float = 1.0
    """Share of the trials that must succeed."""
    trials: int = 1
    """How many there are to be, those included that did not come to run."""

    def failed(self, failures: int) -> bool:
        """Whether so many failures are too many, however the rest ends."""
        # A rate however small asks for a success.
        return max(1, round(self.trials * self.min_rate, 9)) > self.trials - failures
