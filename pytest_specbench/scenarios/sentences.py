"""Pydantic's findings -> problems in the words of the format, each with the nearest valid name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pytest_specbench.core.metrics import METRICS
from pytest_specbench.core.model import Record
from pytest_specbench.core.problems import MOST, KeyPath, Problem, one_of
from pytest_specbench.core.text import one_line
from pytest_specbench.core.yaml_text import Parsed, kind_of
from pytest_specbench.scenarios.forms import FORMS, SHORT_METRICS
from pytest_specbench.scenarios.model import (
    AgentDefaults,
    AllowList,
    Deadlines,
    FilesFixture,
    GitFixture,
    Limits,
    ModelDefaults,
    PhaseNetworks,
    Prices,
    Runner,
    Scenario,
    SpecKitFixture,
    SuccessArtifact,
    Verification,
)

_FIXTURES: Mapping[str, type[Record]] = {"files": FilesFixture, "spec-kit": SpecKitFixture, "git": GitFixture}
_SECTIONS: Mapping[KeyPath, type[Record]] = {
    (): Scenario,
    ("runner",): Runner,
    ("runner", "network"): PhaseNetworks,
    ("agent",): AgentDefaults,
    ("model",): ModelDefaults,
    ("model", "prices"): Prices,
    ("allow",): AllowList,
    ("deadlines",): Deadlines,
    ("limits",): Limits,
    ("verification",): Verification,
}
_LONG = 80
"""Characters of a value that are shown."""
_KINDS: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "nothing",
}
_BOUNDS: Mapping[str, tuple[str, str, str]] = {
    "greater_than": ("is too small", "more than {}", "gt"),
    "greater_than_equal": ("is too small", "at least {}", "ge"),
    "less_than": ("is too large", "less than {}", "lt"),
    "less_than_equal": ("is too large", "at most {}", "le"),
    "string_too_short": ("is empty", "at least {} character", "min_length"),
    "string_too_long": ("is too long", "at most {} characters", "max_length"),
    "too_short": ("has too few entries", "at least {}", "min_length"),
    "too_long": ("has too many entries", "at most {}", "max_length"),
}


def problems_of(error: ValidationError, parsed: Parsed) -> list[Problem]:
    """One problem for each place that pydantic complains about; several complaints about one place become one."""
    found: dict[KeyPath, list[Problem]] = {}
    for details in error.errors(include_url=False):
        if len(found) > MOST:
            break
        keys, missing = _place(details, parsed.data)
        if details["type"] == "too_short" and details["input"]:
            continue  # its entries were there, and were refused one by one
        problem = _problem(details, keys, parsed) if not missing else _missing(keys, parsed.data)
        found.setdefault(problem.keys or (problem.message,), []).append(problem)
    return [_merged(problems) for problems in found.values()]


def _merged(problems: list[Problem]) -> Problem:
    """Alternatives of one place (text, number, ...) in one sentence."""
    first = problems[0]
    expected = list(dict.fromkeys(problem.expected for problem in problems if problem.expected))
    return Problem(first.keys, first.message, " or ".join(expected) or None, first.line)


def _place(details: ErrorDetails, data: object) -> tuple[KeyPath, bool]:
    """The key path in the document, and whether its last key is missing there. Pydantic's own marks are left out."""
    location = details["loc"]
    if location[:1] == ("fixtures",) and len(location) > 2 and details["type"] not in _UNTAGGED:
        location = (*location[:2], *location[3:])
    keys: list[str | int] = []
    for part in location:
        if not _holds(data, part):
            break
        data = data[part]  # type: ignore[index]  # `_holds` has looked
        keys.append(part)
    if details["type"] == "missing":
        return (*keys, location[-1]), True
    return tuple(keys), False


def _holds(data: object, part: str | int) -> bool:
    if isinstance(data, tuple):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


_UNTAGGED = frozenset({"union_tag_invalid", "union_tag_not_found"})


def _section(keys: KeyPath, data: Any) -> type[Record] | None:
    """The model of the mapping at `keys`; None where keys are free."""
    if len(keys) == 2 and keys[0] == "success_artifacts":
        return SuccessArtifact
    if len(keys) == 2 and keys[0] == "fixtures":
        return _FIXTURES.get(str(data["fixtures"][keys[1]].get("type")))
    return _SECTIONS.get(keys)


def _missing(keys: KeyPath, data: Any) -> Problem:
    section = _section(keys[:-1], data)
    means = section.meanings().get(str(keys[-1])) if section else None
    return Problem(keys, "is missing", means.rstrip(".") if means else None)


def _problem(details: ErrorDetails, keys: KeyPath, parsed: Parsed) -> Problem:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        section = _section(keys[:-1], parsed.data)
        name = str(keys[-1])
        return Problem(keys, f"unknown key {_shown(name)}", one_of(section.model_fields if section else (), name))
    if kind in _KINDS:
        return _wrong_kind(kind, value, keys, parsed)
    if kind in _BOUNDS:
        message, expected, name = _BOUNDS[kind]
        shown = "" if isinstance(value, tuple | dict) or value == "" else f"{_shown(value)} "
        return Problem(keys, shown + message, expected.format(_number(context[name])))
    if kind == "literal_error":
        return _not_among(_quoted(context["expected"]), value, keys)
    if kind == "union_tag_not_found":
        return Problem((*keys, "type"), "is missing", one_of(_FIXTURES))
    if kind == "union_tag_invalid":
        return _not_among(list(_FIXTURES), value.get("type"), (*keys, "type"))
    if kind == "string_pattern_mismatch":
        return Problem(keys, f"{_shown(value)} has the wrong form", FORMS.get(context["pattern"], "letters and digits"))
    if kind == "value_error":
        return _refused(str(context["error"]), value, keys)
    return Problem(keys, details["msg"].replace("Input should be", "must be"))


def _not_among(names: list[str], value: object, keys: KeyPath) -> Problem:
    return Problem(keys, f"{_shown(value)} is not known here", one_of(names, value))


def _refused(said: str, value: object, keys: KeyPath) -> Problem:
    """What a validator of ours said."""
    if not keys:
        return Problem(keys, said)
    if isinstance(value, str) and said.startswith("must be one of"):
        return _not_among([*METRICS, *SHORT_METRICS], value, keys)
    shown = _shown(value) + " " if isinstance(value, str) else ""
    return Problem(keys, f"{shown}is not accepted", said.removeprefix("must be "))


def _wrong_kind(kind: str, value: object, keys: KeyPath, parsed: Parsed) -> Problem:
    wanted = _KINDS[kind]
    plain = parsed.plain.get(keys)
    if value is None:
        return Problem(keys, "has no value", wanted)
    if kind == "string_type" and plain is not None:
        short = one_line(plain, _LONG)
        return Problem(keys, f"{short} is read as {kind_of(value)}, not as text", f"quotes round it: '{short}'")
    if isinstance(value, str) and wanted in ("a number", "a whole number"):
        return Problem(keys, f"{_shown(value)} is text, not {wanted}", f"{wanted}, without quotes")
    shown = f"{one_line(plain, _LONG)} is" if plain is not None else "is"
    is_a = "a number with a fraction" if isinstance(value, float) else kind_of(value)
    return Problem(keys, f"{shown} {is_a}, not {wanted}", _with_keys(wanted, keys))


def _with_keys(wanted: str, keys: KeyPath) -> str:
    section = _SECTIONS.get(keys) or (
        SuccessArtifact if keys[:1] == ("success_artifacts",) and len(keys) == 2 else None
    )
    return f"{wanted} with the keys {', '.join(section.model_fields)}" if section and wanted == "a mapping" else wanted


def _quoted(expected: str) -> list[str]:
    """The names in pydantic's `'a', 'b' or 'c'`."""
    return expected.split("'")[1::2]


def _shown(value: object) -> str:
    text = repr(value[:_LONG] if isinstance(value, str) else value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."


def _number(value: float) -> str:
    return f"{value:,g}" if isinstance(value, float) and not value.is_integer() else f"{int(value):,}"
