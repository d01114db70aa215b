"""The command path accepts today's and older spellings, and says what is wrong with others."""

from __future__ import annotations

import pytest

from pytest_specbench.agents.orchestrator.stages import DEFAULT_PATH, STAGES, parse_command_path
from pytest_specbench.core.errors import UsageError


@pytest.mark.parametrize(
    "spelling",
    ["specify", "/specify", "/speckit.specify", "/speckit-specify", "$speckit-specify", "/Specify", " specify "],
)
def test_every_spelling_of_a_stage(spelling: str) -> None:
    assert [stage.name for stage in parse_command_path(spelling)] == ["specify"]


@pytest.mark.parametrize("spelling", ["execute", "/execute", "implement", "/implement", "/speckit.implement"])
def test_execute_is_implement(spelling: str) -> None:
    assert [stage.name for stage in parse_command_path(spelling)] == ["implement"]


@pytest.mark.parametrize(
    "path",
    [
        DEFAULT_PATH,
        "/specify -> /plan -> /tasks -> execute",
        "/specify \u2192 /plan \u2192 /tasks \u2192 execute",
        "specify,plan, tasks ,implement",
        "/speckit.specify->/speckit-plan->$speckit-tasks->/speckit.implement",
    ],
)
def test_every_separator(path: str) -> None:
    assert parse_command_path(path) == STAGES


def test_an_unknown_stage_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="the nearest is 'specify'") as caught:
        parse_command_path("/specfy -> /plan")
    assert "'/specfy'" in str(caught.value)


@pytest.mark.parametrize("path", ["", " ", "->", "/specify ->", "/clarify"])
def test_a_path_that_names_no_stage_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="no stage is called"):
        parse_command_path(path)


@pytest.mark.parametrize("path", ["/plan -> /specify", "/plan -> /plan"])
def test_stages_have_an_order(path: str) -> None:
    with pytest.raises(UsageError, match="cannot come after"):
        parse_command_path(path)
