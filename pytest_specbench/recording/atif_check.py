"""Checks a trajectory: Harbor's rules, and in strict mode those that it leaves to trust."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_specbench.core.text import counted, one_line
from pytest_specbench.recording.atif_models import ContentPart, Metrics, Step, Trajectory

MAX_BYTES = 200_000_000
"""A larger trajectory is not read."""
MOST = 100
"""How many problems are told."""
_TOTALS = ("prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd")


def check_trajectory(document: dict[str, Any] | Path, strict: bool = True) -> list[str]:
    """Return what is wrong with a trajectory, one sentence each, led by a JSON path; empty when it is valid.

    `document` is the parsed document or the path of a file. Without `strict`, only the form, the numbering and the
    linkage of tool calls are checked, as Harbor's validator does. Never raises for bad content.
    """
    try:
        problems = _check(document, strict=strict)
    except RecursionError:
        return ["$: it is nested too deeply"]
    told = [one_line(problem) for problem in problems[:MOST]]
    return (
        told
        if len(problems) <= MOST
        else [*told, f"$: and {counted(len(problems) - MOST, 'more problem', 'more problems')}"]
    )


def _check(document: dict[str, Any] | Path, *, strict: bool) -> list[str]:
    problems: list[str] = []
    data: Any = document
    if isinstance(document, Path):
        try:
            data = json.loads(
                _content(document).decode(), parse_constant=_no_constant, object_pairs_hook=_no_duplicates
            )
        except (OSError, ValueError) as error:
            return [f"$: {document} cannot be read as JSON: {error}"]
    if not isinstance(data, dict):
        return ["$: a trajectory is a JSON object"]
    try:
        trajectory = Trajectory.model_validate(data)
    except ValidationError as error:
        return [f"{_path(each['loc'])}: {_message(each)}" for each in error.errors(include_url=False)]
    problems += _linkage(trajectory, "$")
    if isinstance(document, Path):
        problems += _images(trajectory, document.parent)
    if strict:
        problems += [f"$: `{name}` is missing" for name in ("schema_version", "session_id") if not data.get(name)]
        problems += _not_finite(data, "$")
        problems += _strict(trajectory, "$")
    return problems


def _content(path: Path) -> bytes:
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is no regular file")  # reading a pipe would never end
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(f"it is larger than {MAX_BYTES} bytes")
    return data


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _path(location: tuple[int | str, ...]) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _message(error: Any) -> str:
    if error["type"] == "missing":
        return "this required field is missing"
    if error["type"] == "extra_forbidden":
        return "ATIF has no such field"
    return str(error["msg"]).removeprefix("Value error, ")


def _linkage(trajectory: Trajectory, path: str) -> Iterator[str]:
    """Numbering of the steps, linkage of observations and of subagents."""
    for index, step in enumerate(trajectory.steps):
        here = f"{path}.steps[{index}]"
        if step.step_id != index + 1:
            yield f"{here}.step_id: steps are numbered from 1 without gaps; expected {index + 1}, found {step.step_id}"
        known = {call.tool_call_id for call in step.tool_calls or ()}
        for number, result in enumerate(step.observation.results if step.observation else ()):
            if result.source_call_id is not None and result.source_call_id not in known:
                yield (
                    f"{here}.observation.results[{number}].source_call_id: "
                    f"{result.source_call_id!r} is no tool call of this step"
                )
    seen: set[str] = set()
    for index, inner in enumerate(trajectory.subagent_trajectories or ()):
        here = f"{path}.subagent_trajectories[{index}]"
        if inner.trajectory_id is None:
            yield f"{here}.trajectory_id: an embedded trajectory needs one"
        elif inner.trajectory_id in seen:
            yield f"{here}.trajectory_id: {inner.trajectory_id!r} is there twice"
        else:
            seen.add(inner.trajectory_id)
        yield from _linkage(inner, here)


def _contents(step: Step) -> Iterator[tuple[str, list[ContentPart]]]:
    if isinstance(step.message, list):
        yield "message", step.message
    for number, result in enumerate(step.observation.results if step.observation else ()):
        if isinstance(result.content, list):
            yield f"observation.results[{number}].content", result.content


def _images(trajectory: Trajectory, folder: Path) -> Iterator[str]:
    for index, step in enumerate(trajectory.steps):
        for where, parts in _contents(step):
            for number, part in enumerate(parts):
                # Unlike Path.exists it answers for every name.
                if part.source and "://" not in part.source.path and not os.path.exists(folder / part.source.path):  # noqa: PTH110
                    yield f"$.steps[{index}].{where}[{number}].source.path: there is no file {part.source.path!r}"


def _not_finite(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{path}: {value} is no JSON number"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{path}[{index}]")


def _strict(trajectory: Trajectory, path: str) -> Iterator[str]:
    """What Harbor's validator leaves to trust."""
    yield from _too_new(trajectory, path)
    last = len(trajectory.steps) - 1
    before: datetime | None = None
    for index, step in enumerate(trajectory.steps):
        here = f"{path}.steps[{index}]"
        yield from _tool_calls(step, here, cut_off=index == last)
        yield from _amounts(step.metrics, f"{here}.metrics")
        if step.timestamp is not None:
            at = datetime.fromisoformat(step.timestamp.replace("Z", "+00:00"))  # noqa: FURB162 - as it was validated
            if at.tzinfo is None:
                yield f"{here}.timestamp: {step.timestamp!r} has no time zone"
            else:
                if before is not None and at < before:
                    yield f"{here}.timestamp: {step.timestamp!r} is earlier than the step before"
                before = at
    yield from _totals(trajectory, path)
    for index, inner in enumerate(trajectory.subagent_trajectories or ()):
        yield from _strict(inner, f"{path}.subagent_trajectories[{index}]")


def _too_new(trajectory: Trajectory, path: str) -> Iterator[str]:
    """Features that the declared version does not have."""
    version = trajectory.schema_version
    newer: list[tuple[str, str, bool]] = [
        ("ATIF-v1.7", f"{path}.trajectory_id", trajectory.trajectory_id is not None),
        ("ATIF-v1.7", f"{path}.subagent_trajectories", trajectory.subagent_trajectories is not None),
    ]
    for index, step in enumerate(trajectory.steps):
        here = f"{path}.steps[{index}]"
        newer.append(("ATIF-v1.7", f"{here}.llm_call_count", step.llm_call_count is not None))
        newer += [
            ("ATIF-v1.7", f"{here}.tool_calls[{number}].extra", call.extra is not None)
            for number, call in enumerate(step.tool_calls or ())
        ]
        for number, result in enumerate(step.observation.results if step.observation else ()):
            there = f"{here}.observation.results[{number}]"
            newer.append(("ATIF-v1.7", f"{there}.extra", result.extra is not None))
            newer += [
                ("ATIF-v1.7", f"{there}.subagent_trajectory_ref[{at}].trajectory_id", ref.trajectory_id is not None)
                for at, ref in enumerate(result.subagent_trajectory_ref or ())
            ]
        newer += [("ATIF-v1.6", f"{here}.{where}", True) for where, _ in _contents(step)]
    yield from (
        f"{where}: this came with {since}, and the document declares {version}"
        for since, where, there in newer
        if there and since > version
    )


def _tool_calls(step: Step, path: str, *, cut_off: bool) -> Iterator[str]:
    """Ids are unique, and every call was answered, except in a last step that was cut off."""
    answered = {result.source_call_id for result in (step.observation.results if step.observation else ())}
    seen: set[str] = set()
    for index, call in enumerate(step.tool_calls or ()):
        here = f"{path}.tool_calls[{index}].tool_call_id"
        if not call.tool_call_id:
            yield f"{here}: it is empty"
        if call.tool_call_id in seen:
            yield f"{here}: {call.tool_call_id!r} is there twice"
        seen.add(call.tool_call_id)
        if call.tool_call_id not in answered and not cut_off:
            yield f"{here}: no observation answers {call.tool_call_id!r}"


def _amounts(metrics: Metrics | None, path: str) -> Iterator[str]:
    if metrics is None:
        return
    for name in _TOTALS:
        value = getattr(metrics, name)
        if value is not None and value < 0:
            yield f"{path}.{name}: {value} is negative"
    if metrics.cached_tokens is not None and metrics.cached_tokens > (metrics.prompt_tokens or 0):
        yield f"{path}.cached_tokens: {metrics.cached_tokens} are more than the prompt's {metrics.prompt_tokens}"


def _totals(trajectory: Trajectory, path: str) -> Iterator[str]:
    """A total is there only where every step of the agent reported, and is then their sum."""
    final = trajectory.final_metrics
    if final is None:
        return
    steps = [step for step in trajectory.steps if step.source == "agent" and not step.is_copied_context]
    steps = [step for step in steps if step.llm_call_count != 0]
    here = f"{path}.final_metrics"
    for name in _TOTALS:
        total = getattr(final, f"total_{name}")
        if total is None:
            continue
        if total < 0:
            yield f"{here}.total_{name}: {total} is negative"
        parts: list[Any] = [getattr(step.metrics, name, None) for step in steps]
        if trajectory.subagent_trajectories or trajectory.continued_trajectory_ref:
            continue  # the total then covers more than these steps
        if None in parts or not parts:
            yield f"{here}.total_{name}: not every step of the agent reports {name}, so that there is no total"
        elif not _is_sum(total, parts):
            yield f"{here}.total_{name}: {total} is not the sum of the steps, {sum(parts)}"
    if final.total_steps is not None and final.total_steps != len(trajectory.steps) and not trajectory.notes:
        yield f"{here}.total_steps: {final.total_steps} is not the number of steps, {len(trajectory.steps)}"


def _is_sum(total: float, parts: Sequence[float]) -> bool:
    if isinstance(total, int):
        return total == sum(parts)
    return math.isclose(total, sum(parts), rel_tol=1e-9, abs_tol=1e-12)
