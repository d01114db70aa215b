"""What is asked of a sandbox has its time: one that does not answer has failed."""

from __future__ import annotations

from collections.abc import Callable

from pytest_specbench.core.deadline import DeadlineExceededError, run_bounded
from pytest_specbench.core.errors import InfrastructureError


def answer_within[T](seconds: float, doing: str, function: Callable[[], T]) -> T:
    """What `function` asks of the sandbox. Raises InfrastructureError when there is no answer after `seconds`."""
    try:
        return run_bounded(function, seconds, phase=doing)
    except DeadlineExceededError as error:
        raise InfrastructureError(str(error), hint="see whether the engine answers: docker info") from None
