"""What `tb run --agent-kwarg` gives the orchestrator, checked before a container's time is spent on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pytest_specbench.agents.orchestrator.options import OrchestratorOptions, parse_options
from pytest_specbench.core.errors import UsageError
from pytest_specbench.scenarios.model import Limits, ModelDefaults, Seconds

_OWN_OPTIONS = tuple(option.name for option in fields(OrchestratorOptions))
_PASSED_BY_TERMINAL_BENCH = ("version", "prompt_template", "no_rebuild", "dataset_path", "task_ids")
_LIMITS = {"max_steps": "steps", "max_tokens": "tokens", "max_cost_usd": "cost_usd", "command_sec": "command_sec"}
_MODEL = tuple(name for name in ModelDefaults.model_fields if name != "name")
_TIMEOUT = "timeout_sec"


@dataclass(frozen=True)
class Arguments:
    """The keyword arguments besides the model's name and the command path."""

    limits: Limits
    options: OrchestratorOptions
    timeout_sec: float | None
    """The agent's own limit in seconds; null: only the harness's."""
    model: Mapping[str, Any]
    """Fields of `ModelDefaults` besides the name."""


def parse_arguments(given: Mapping[str, Any]) -> Arguments:
    """Raises UsageError for what is unknown, with the nearest name, and for a value that cannot be taken.

    What terminal-bench itself passes is accepted; null stands for not given.
    """
    _refuse_unknown(given)
    given = {name: value for name, value in given.items() if value is not None}
    limits = {field: given[name] for name, field in _LIMITS.items() if name in given}
    model = {name: given[name] for name in _MODEL if name in given}
    try:
        checked = Limits.model_validate(limits)
        ModelDefaults.model_validate({"name": "any", **model})
        own = {_TIMEOUT: given[_TIMEOUT]} if _TIMEOUT in given else {}
        timeout = TypeAdapter(dict[str, Seconds]).validate_python(own).get(_TIMEOUT)
    except ValidationError as error:
        raise _refused(error) from error
    options = parse_options({name: given[name] for name in _OWN_OPTIONS if name in given})
    return Arguments(checked, options, timeout, model)


def _refused(error: ValidationError) -> UsageError:
    first = error.errors()[0]
    field = str(first["loc"][0])
    name = next((option for option, limit in _LIMITS.items() if limit == field), field)
    return UsageError(f"the argument {name!r} is {first['input']!r}: {first['msg']}", where=f"--agent-kwarg {name}")


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    known = ["model_name", "command_path", *_MODEL, *_LIMITS, _TIMEOUT, *_OWN_OPTIONS, *_PASSED_BY_TERMINAL_BENCH]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise UsageError(
                f"the orchestrator has no option {name!r}",
                where=f"--agent-kwarg {name}",
                expected=f"one of {', '.join(known)}" + (f"; the nearest is {near[0]!r}" if near else ""),
            )
