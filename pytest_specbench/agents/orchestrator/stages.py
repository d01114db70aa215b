"""The stages of the workflow, and how a command path names them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from pytest_specbench.core.errors import UsageError


@dataclass(frozen=True)
class Stage:
    """One stage: the file it needs, the file it makes, and the spellings of its name besides its own."""

    name: str
    """Name as in Spec Kit's command files."""
    needs: str | None
    """File in the feature's folder that must be there and pass its check; null for the first stage."""
    makes: str
    """File in the feature's folder that must be there and pass its check afterwards."""
    aliases: tuple[str, ...] = ()


SPECIFY = Stage("specify", None, "spec.md")
PLAN = Stage("plan", "spec.md", "plan.md")
TASKS = Stage("tasks", "plan.md", "tasks.md")
IMPLEMENT = Stage("implement", "tasks.md", "tasks.md", ("execute",))

STAGES = (SPECIFY, PLAN, TASKS, IMPLEMENT)
"""In the order of the workflow."""

DEFAULT_PATH = "/specify -> /plan -> /tasks -> execute"

_SEPARATOR = re.compile(r"\s*(?:->|\u2192|,)\s*")
_PREFIX = re.compile(r"^[/$]?(?:speckit[.-])?")


def parse_command_path(text: str) -> tuple[Stage, ...]:
    """`/specify -> /plan` -> the stages in that order.

    A stage is written `specify`, `/specify`, `/speckit.specify`, `/speckit-specify` or `$speckit-specify`; `execute` is
    `implement`. Raises UsageError for anything else, with the nearest name, and for stages out of order or repeated.
    """
    by_name = {name: stage for stage in STAGES for name in (stage.name, *stage.aliases)}
    stages: list[Stage] = []
    for part in _SEPARATOR.split(text.strip()):
        name = _PREFIX.sub("", part.strip().lower(), count=1)
        stage = by_name.get(name)
        if stage is None:
            near = get_close_matches(name, by_name, n=1)
            raise UsageError(
                f"command path {text!r}: no stage is called {part!r}",
                where="command_path",
                expected="stages out of /specify, /plan, /tasks and execute, joined by '->'"
                + (f"; the nearest is {near[0]!r}" if near else ""),
            )
        if stages and STAGES.index(stage) <= STAGES.index(stages[-1]):
            raise UsageError(
                f"command path {text!r}: {part!r} cannot come after {stages[-1].name!r}",
                where="command_path",
                expected="the order specify, plan, tasks, execute, each at most once",
            )
        stages.append(stage)
    return tuple(stages)
