"""Finishing a run: a verdict that an earlier part gave stands, when it would be given again; everything else runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pytest_specbench.core.errors import SpecbenchError
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause, Outcome, Status
from pytest_specbench.gate.earlier import earlier_runs
from pytest_specbench.gate.judgement import (
    Begun,
    counted,
    find_baseline,
    judge_against,
    summaries,
    with_acknowledgement,
)
from pytest_specbench.gate.preparation import Prepared, prepare
from pytest_specbench.gate.recipe import Watch, run_benchmark
from pytest_specbench.recording.attempts import attempts
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.store.trusted.authority import Authority

NOTE = "resumed: from the earlier part of the run"


def finish_benchmark(
    loaded: LoadedScenario, settings: Settings, watch: Watch, whose: Callable[[], Authority]
) -> BenchmarkRun:
    """As `run_benchmark`, and nothing that an earlier part of the run has completed is run again."""
    return standing(loaded, settings, watch, whose) or run_benchmark(loaded, settings, watch, whose)


def standing(
    loaded: LoadedScenario, settings: Settings, watch: Watch, whose: Callable[[], Authority]
) -> BenchmarkRun | None:
    """The verdict of an earlier part, where it says something about the agent, its artifacts are as they were, and it
    is what comes out of them with what is observed now; None where the scenario has to be looked at again.
    """
    scenario_id = loaded.scenario.scenario_id
    if not attempts(settings.run_folder, scenario_id):
        return None
    try:
        prepared = prepare(loaded, settings, lambda phase, steps: watch(phase, 0, 0, steps))
        tree = prepared.plan.invocation.tree
        there = list(earlier_runs(settings.run_folder, settings.run_id, scenario_id, tree))
        counts = whose()
        found = next((run for run in there if _stands(run, loaded, settings, prepared, counts)), None)
    except SpecbenchError:
        return None  # whatever does not hold now is told by the gate, which meets it again
    if found is None:
        return None
    others = [run for run in there if run.status is not Status.BLOCKED]
    flaky = any((run.status, run.cause) != (found.status, found.cause) for run in others)
    notes = "\n".join(filter(None, [found.notes, "flaky; an earlier attempt ended otherwise" if flaky else "", NOTE]))
    return found.model_copy(update={"resumed": True, "flaky": flaky, "notes": notes})


def _stands(
    run: BenchmarkRun, loaded: LoadedScenario, settings: Settings, prepared: Prepared, whose: Authority
) -> bool:
    """Whether judging what the run left gives the verdict it has. Raises what the gate raises."""
    trials = counted(run.trials)
    complete = len(trials) == prepared.trials and all(trial.outcome is not Outcome.INFRASTRUCTURE for trial in trials)
    if run.fingerprint != prepared.observed.fingerprint or not (complete or run.status is Status.REGRESSION):
        return False  # blocked before its trials were complete: nothing is known about the agent
    again = Begun(
        datetime.now(UTC), run.artifacts_path, prepared.observed, wanted=prepared.trials, trials=list(run.trials)
    )
    match = find_baseline(loaded, settings, again, whose)
    if match.baseline is None and match.cause not in (None, Cause.APPROVAL_NEEDED):
        return False
    verdict = with_acknowledgement(judge_against(match, loaded, again), match, loaded, again)
    measured = summaries(run.trials, by_rate=loaded.scenario.success is not None)
    judged = (verdict.status, verdict.cause, verdict.exit_code, again.comparison, measured)
    return judged == (run.status, run.cause, run.exit_code, run.comparison, run.metrics)
