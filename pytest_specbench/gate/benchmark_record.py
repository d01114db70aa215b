"""The record of a benchmark run: everything that is known of it, with the hashes of what it left."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from pytest_specbench.core.records import (
    ArtifactPaths,
    BenchmarkRun,
    TrialRecord,
)
from pytest_specbench.core.redact import Redactor, without_credentials
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause, Outcome
from pytest_specbench.core.verdict import Verdict, blocked
from pytest_specbench.gate.judgement import Begun, counted, summaries
from pytest_specbench.recording.attempts import ATTEMPTS, attempts, claim_attempt
from pytest_specbench.recording.files import hash_tree, write_bytes, write_json
from pytest_specbench.scenarios.loader import LoadedScenario


def write_record(loaded: LoadedScenario, settings: Settings, begun: Begun, verdict: Verdict) -> BenchmarkRun:
    """Write what the run left beside its trials, and the record with the hashes of it all. Raises OSError."""
    folder = settings.run_folder / begun.name
    if begun.comparison.diff:
        write_bytes(folder / "parity.diff", ("\n".join(begun.comparison.diff) + "\n").encode())
    run = record(loaded, settings, begun, verdict)
    write_json(folder / "run.json", run)
    return run


def record(loaded: LoadedScenario, settings: Settings, begun: Begun, verdict: Verdict) -> BenchmarkRun:
    """The record of the benchmark run, with the hashes of what its trials left."""
    scenario, observed = loaded.scenario, begun.observed
    trials = begun.trials
    folder = settings.run_folder / begun.name
    image = None if observed is None else observed.image
    return BenchmarkRun(
        run_id=UUID(settings.run_id),
        scenario_id=scenario.scenario_id,
        display_name=scenario.display_name,
        owner_rotation=scenario.owner_rotation,
        commit_sha=begun.commit_sha,
        clean=begun.clean,
        executed_at=begun.started,
        runner_image=None if image is None else image.digest,
        dataset_version=scenario.registry_version if observed is None else observed.dataset.reference,
        status=verdict.status,
        cause=verdict.cause,
        notes=verdict.notes,
        exit_code=verdict.exit_code,
        metrics=summaries(trials, by_rate=scenario.success is not None) if trials else {},
        metrics_tracked=scenario.metrics_tracked,
        trials=tuple(trials),
        min_rate=None if scenario.success is None else scenario.success.min_rate,
        fingerprint=None if observed is None else observed.fingerprint,
        comparison=begun.comparison,
        acknowledgement=begun.acknowledgement,
        artifacts_path=begun.name,
        artifacts=decisive_artifacts(trials, settings.run_folder),
        artifact_hashes=hash_tree(folder, without=ATTEMPTS) if folder.is_dir() else {},
    )


def no_verdict(loaded: LoadedScenario, settings: Settings, why: str) -> BenchmarkRun:
    """The record of a scenario that started and gave no verdict: blocked, with what is known."""
    scenario_id, run_folder = loaded.scenario.scenario_id, settings.run_folder
    # What a run that died left stays where it is, and gets its record there.
    died = [name for name in attempts(run_folder, scenario_id)[:1] if not (run_folder / name / "run.json").exists()]
    begun = Begun(datetime.now(UTC), died[0] if died else claim_attempt(run_folder, scenario_id))
    redactor = Redactor.from_environment(loaded.scenario.secrets, os.environ)
    run = record(loaded, settings, begun, blocked(Cause.NO_VERDICT, redactor.text(without_credentials(why))))
    write_json(settings.run_folder / begun.name / "run.json", run)
    return run


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
