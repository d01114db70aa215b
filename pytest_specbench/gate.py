"""The gate: scenario -> what must hold before anything runs -> trials -> metrics -> verdict -> benchmark run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from pytest_specbench.core.errors import BlockedError, DatasetError, SpecbenchError
from pytest_specbench.core.metrics import METRICS, MetricSummary, summarise
from pytest_specbench.core.records import ArtifactPaths, BenchmarkRun, TrialRecord
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import REPEATABLE, Cause, Outcome
from pytest_specbench.core.verdict import Verdict, blocked, judge
from pytest_specbench.preparation import Prepared, prepare
from pytest_specbench.recording.files import hash_tree, write_json
from pytest_specbench.recording.folder import TrialFolder
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.trial import Progress, TrialPlan, run_trial

type Watch = Callable[[str, int, int, int | None], None]
"""Progress: phase, number of the trial, number of trials, steps so far (None where no agent acts)."""


def run_benchmark(loaded: LoadedScenario, settings: Settings, watch: Watch) -> BenchmarkRun:
    """Run one scenario and judge it. Never raises for anything that has a status: it returns a blocked run instead."""
    started = datetime.now(UTC)
    prepared: Prepared | None = None
    trials: list[TrialRecord] = []
    try:
        prepared = prepare(loaded, settings, lambda phase, steps: watch(phase, 0, 0, steps))
        run_trials(prepared, settings, watch, trials)
        verdict = judge(counted(trials), summaries(trials), loaded.scenario.metrics_tracked)
    except BlockedError as error:
        verdict = blocked(error.cause, str(error))
    except DatasetError as error:
        verdict = blocked(Cause.DATASET_MISSING, str(error))
    except SpecbenchError as error:
        verdict = blocked(Cause.CONFIGURATION, str(error))
    run = record(loaded, settings, prepared, trials, verdict, started)
    folder = settings.run_folder / run.artifacts_path
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "run.json", run)
    return run


def run_trials(prepared: Prepared, settings: Settings, watch: Watch, into: list[TrialRecord]) -> None:
    """Run every trial, adding each record as it comes. Among several trials, one that failed for a passing fault of the
    infrastructure is repeated once; the failed attempt is kept, marked, and not counted.
    """
    wanted, may_repeat = prepared.trials, prepared.trials > 1
    for number in range(1, wanted + 1):
        plan = replace(prepared.plan, progress=_numbered(watch, number, wanted))
        trial = _attempt(plan, settings, number, again=False)
        if may_repeat and trial.outcome is Outcome.INFRASTRUCTURE and trial.cause in REPEATABLE:
            may_repeat = False
            into.append(trial.model_copy(update={"repeated": True}))
            trial = _attempt(plan, settings, number, again=True)
        into.append(trial)
        if trial.outcome is Outcome.INFRASTRUCTURE:
            return  # whatever the rest would give, the run is blocked


def _attempt(plan: TrialPlan, settings: Settings, number: int, *, again: bool) -> TrialRecord:
    folder = TrialFolder(settings.run_folder, plan.loaded.scenario.scenario_id, number, again=again)
    return run_trial(plan, number, folder)


def _numbered(watch: Watch, trial: int, trials: int) -> Progress:
    def progress(phase: str, steps: int | None) -> None:
        watch(phase, trial, trials, steps)

    return progress


def counted(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that the verdict looks at."""
    return [trial for trial in trials if not trial.repeated]


def summaries(trials: Sequence[TrialRecord]) -> dict[str, MetricSummary]:
    """Every metric over the counted trials."""
    return {name: summarise(name, (trial.metrics[name] for trial in counted(trials))) for name in METRICS}


def record(
    loaded: LoadedScenario,
    settings: Settings,
    prepared: Prepared | None,
    trials: Sequence[TrialRecord],
    verdict: Verdict,
    started: datetime,
) -> BenchmarkRun:
    """The record of the benchmark run, with the hashes of what its trials left."""
    scenario = loaded.scenario
    folder = settings.run_folder / scenario.scenario_id
    reference = scenario.registry_version if prepared is None else prepared.dataset.reference
    image = None if prepared is None else prepared.image
    return BenchmarkRun(
        run_id=UUID(settings.run_id),
        scenario_id=scenario.scenario_id,
        display_name=scenario.display_name,
        owner_rotation=scenario.owner_rotation,
        executed_at=started,
        runner_image=None if image is None else image.digest,
        dataset_version=reference,
        status=verdict.status,
        cause=verdict.cause,
        notes=verdict.notes,
        exit_code=verdict.exit_code,
        metrics=summaries(trials) if trials else {},
        metrics_tracked=scenario.metrics_tracked,
        trials=tuple(trials),
        fingerprint=None if prepared is None else prepared.fingerprint,
        artifacts_path=scenario.scenario_id,
        artifacts=decisive_artifacts(trials, settings.run_folder),
        artifact_hashes=hash_tree(folder) if folder.is_dir() else {},
    )


def decisive_artifacts(trials: Sequence[TrialRecord], run_folder: Path) -> ArtifactPaths:
    """The files of the trial that decided: the first that did not succeed, else the last."""
    if not trials:
        return ArtifactPaths()
    decisive = next((trial for trial in counted(trials) if trial.outcome is not Outcome.SUCCESS), trials[-1])
    names = {
        "run_metadata": "run_metadata.json",
        "agent_cast": "agent.cast",
        "post_test": "post-test.txt",
        "trajectory": "atif/trajectory.json",
        "summary": "summary.json",
    }
    paths = {field: f"{decisive.artifacts_path}/{name}" for field, name in names.items()}
    return ArtifactPaths(**{field: path for field, path in paths.items() if (run_folder / path).is_file()})
