"""The exit code of a whole run and the sentence that explains it."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.status import EXIT_BLOCKED, EXIT_PASS, EXIT_REGRESSION, Status
from pytest_specbench.reporting.text import printable
from pytest_specbench.reporting.values import show_cause, show_status

_SHOWN = 3
_PYTEST = {
    1: "tests failed",
    2: "interrupted, or files could not be collected",
    3: "internal error",
    4: "wrong usage",
    5: "no tests were collected",
}


def exit_of(
    runs: Sequence[BenchmarkRun],
    missing: Sequence[str],
    interrupted: bool,
    *,
    other_failures: int = 0,
) -> tuple[int, str] | None:
    """Exit code and reason of the scenarios of a run, or None where no scenario started: the code is then pytest's own.

    `missing` names the items that started and gave no verdict, `other_failures` counts ordinary tests of the same
    session that failed. 1 wins over 2, except over an interruption, which pytest's rules forbid to mask.
    """
    if not runs and not missing:
        return None
    failed = [run for run in runs if code_of(run) == EXIT_REGRESSION]
    blocked = [run for run in runs if code_of(run) == EXIT_BLOCKED]
    parts = ["interrupted before every scenario had its verdict"] if interrupted else []
    regressions = [run for run in failed if show_status(run.status, run.comparison.baseline_id) != "failed"]
    parts += _part(regressions, "regression", "regressions")
    parts += _part([run for run in failed if run not in regressions], "failed", "failed")
    parts += [f"{_number(other_failures, 'other test', 'other tests')} failed"] if other_failures else []
    parts += _part([run for run in blocked if run.status is Status.BLOCKED], "blocked", "blocked")
    parts += _part([run for run in blocked if run.status is not Status.BLOCKED], "not accepted", "not accepted")
    if missing:
        parts.append(f"{len(missing)} started and gave no verdict: {_listed([printable(name) for name in missing])}")
    if interrupted:
        return EXIT_BLOCKED, "; ".join(parts)
    if failed or other_failures:
        return EXIT_REGRESSION, "; ".join(parts)
    if parts:
        return EXIT_BLOCKED, "; ".join(parts)
    return EXIT_PASS, _all_well(runs)


def session_exit(ours: tuple[int, str] | None, *, pytest_status: int, problems: int) -> tuple[int, str]:
    """The code that the whole session ends with. pytest's own failures are never masked.

    `ours` is what `exit_of` said, `pytest_status` what pytest would exit with, `problems` how many files could not be
    collected. A pytest status of 1 or 2 beside a verdict of ours that is not 0 is only that verdict's echo.
    """
    own = f"pytest's own: {_PYTEST.get(pytest_status, 'status of a plugin')}"
    trouble = f"{_number(problems, 'file', 'files')} could not be collected"
    if pytest_status not in {0, 1, 2, 5}:
        return pytest_status, "; ".join([own, *([ours[1]] if ours else [])])
    if ours is not None and ours[0] != EXIT_PASS:
        return ours[0], "; ".join([ours[1], *([trouble] if problems else [])])
    if problems:
        return pytest_status if pytest_status in {1, 2} else EXIT_BLOCKED, trouble
    if pytest_status:
        return pytest_status, own
    return ours or (EXIT_PASS, "no scenario ran")


def code_of(run: BenchmarkRun) -> int:
    """What a benchmark run alone exits with: 0, 1 or 2. Its status binds; an exit code that is none of these blocks."""
    if run.status is Status.REGRESSION:
        return EXIT_REGRESSION
    if run.status is Status.BLOCKED or run.exit_code not in {EXIT_PASS, EXIT_REGRESSION}:
        return EXIT_BLOCKED
    return run.exit_code


def _part(runs: Sequence[BenchmarkRun], one: str, many: str) -> list[str]:
    names = [f"{printable(run.scenario_id)} ({show_cause(run.cause)})" for run in runs]
    return [f"{_number(len(runs), one, many)}: {_listed(names)}"] if runs else []


def _listed(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more])


def _number(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _all_well(runs: Sequence[BenchmarkRun]) -> str:
    provisional = sum(run.status is Status.PROVISIONAL for run in runs)
    parts = [f"{len(runs) - provisional} passed"] if provisional < len(runs) else []
    parts += [f"{provisional} provisional (no baseline to compare with yet)"] if provisional else []
    return ", ".join(parts)
