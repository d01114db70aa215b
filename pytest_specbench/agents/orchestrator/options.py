"""The orchestrator's own options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches

from pytest_specbench.core.errors import UsageError
from pytest_specbench.core.records import Scalar


@dataclass(frozen=True)
class OrchestratorOptions:
    """What shapes its behaviour besides the task."""

    max_denials: int = 3
    """Denied commands in a row that stop it."""
    max_errors: int = 10
    """Tool calls in a row that could not be understood, and stop it."""
    output_limit: int = 16_000
    """Characters of a command's output that the model gets to see, head and tail."""


def parse_options(options: Mapping[str, object]) -> OrchestratorOptions:
    """Raises UsageError for an unknown option, with the nearest name, and for a value that is no positive number."""
    names = [option.name for option in fields(OrchestratorOptions)]
    for name, value in options.items():
        if name not in names:
            near = get_close_matches(name, names, n=1)
            raise UsageError(
                f"the orchestrator has no option {name!r}",
                where="agent.options",
                expected=f"one of {', '.join(names)}" + (f"; the nearest is {near[0]!r}" if near else ""),
            )
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(
                f"the option {name!r} is {value!r}",
                where=f"agent.options.{name}",
                expected="a whole number, at least 1",
            )
    return OrchestratorOptions(**options)  # type: ignore[arg-type]  # checked above, one by one


def as_configuration(options: OrchestratorOptions) -> dict[str, Scalar]:
    """The options for the record."""
    return {option.name: getattr(options, option.name) for option in fields(options)}
