"""The gate: scenario -> what must hold before anything runs -> trials -> metrics -> verdict -> benchmark run."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import cast
from uuid import UUID

from pytest_specbench.core.acknowledgement import is_more_than
from pytest_specbench.core.audit import Trail, comparison_key
from pytest_specbench.core.comparison import ComparisonRules, compare, comparison_with
from pytest_specbench.core.errors import BlockedError, DatasetError, SpecbenchError
from pytest_specbench.core.fingerprint import diff_lines, locked_part
from pytest_specbench.core.matching import HostParity, Match, Policy, RequireBaseline, drift
from pytest_specbench.core.matching import match as find_match
from pytest_specbench.core.metrics import METRICS, MetricSummary, summarise
from pytest_specbench.core.records import (
    ArtifactPaths,
    BenchmarkRun,
    Comparison,
    Fingerprint,
    MetricComparison,
    TrialRecord,
)
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import REPEATABLE, Cause, Outcome, Status
from pytest_specbench.core.verdict import Criterion, Verdict, acknowledged, blocked, judge
from pytest_specbench.earlier import earlier_trials
from pytest_specbench.preparation import Observed, Prepared, model_for, observe, prepare
from pytest_specbench.recording.attempts import ATTEMPTS, attempts, claim_attempt
from pytest_specbench.recording.files import DISK_FAULTS, hash_tree, unwritable, write_bytes, write_json
from pytest_specbench.recording.folder import TrialFolder
from pytest_specbench.recording.trial_file import TrialFile, take_trial
from pytest_specbench.sandboxes.base import Sandbox
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.store.authority import Authority, authority
from pytest_specbench.store.baselines import read_baselines
from pytest_specbench.store.lock import LOCK_NAME, read_lock, update_lock
from pytest_specbench.trial import Progress, run_trial, set_up

type Watch = Callable[[str, int, int, int | None], None]
"""Progress: phase, number of the trial, number of trials, steps so far (None where no agent acts)."""


def run_benchmark(
    loaded: LoadedScenario, settings: Settings, watch: Watch, whose: Callable[[], Authority] | None = None
) -> BenchmarkRun:
    """Run one scenario and judge it by what `whose` says to count, which is read from the settings unless it is given.
     Never raises for anything that has a status: it returns a blocked run instead.

    An interruption (KeyboardInterrupt) goes on after the record is written, which says so.
    """
    # Until a folder is claimed there is none of that name, and nothing can be written over.
    begun = Begun(datetime.now(UTC), f"{loaded.scenario.scenario_id}/unclaimed")
    redactor = Redactor.from_environment(loaded.scenario.secrets, os.environ)
    whose = whose or partial(authority, settings)
    try:
        begun.name = claim_attempt(settings.run_folder, loaded.scenario.scenario_id)
        prepared = prepare(loaded, settings, lambda phase, steps: watch(phase, 0, 0, steps))
        begun.observed, begun.wanted = prepared.observed, prepared.trials
        begun.clean, begun.commit_sha = prepared.clean, prepared.plan.invocation.commit_sha
        match = find_baseline(loaded, settings, begun, whose())
        if match.baseline is None and match.cause not in (None, Cause.APPROVAL_NEEDED):
            verdict = blocked(match.cause, match.notes)
        else:
            run_trials(prepared, begun, watch, complete_trials(settings, begun))
            verdict = with_acknowledgement(judge_against(match, loaded, begun), loaded, begun)
    except BlockedError as error:
        verdict = blocked(error.cause, str(error))
    except DatasetError as error:
        verdict = blocked(Cause.DATASET_MISSING, str(error))
    except SpecbenchError as error:
        verdict = blocked(Cause.CONFIGURATION, str(error))
    except KeyboardInterrupt:
        verdict = blocked(Cause.INTERRUPTED, "the run was interrupted")
    except Exception as error:  # noqa: BLE001 - a defect, ours or a plug-in's, is told and never scored
        verdict = _not_ours_to_score(error, settings.run_folder / begun.name, redactor)
    verdict = replace(verdict, notes=redactor.text(without_credentials(verdict.notes)))
    try:
        run = _write_record(loaded, settings, begun, verdict)
    except OSError as error:
        # Evidence that nobody can look at is none.
        run = record(loaded, settings, begun, blocked(Cause.SANDBOX_FAILED, str(unwritable(error))))
    if Cause.INTERRUPTED in (run.cause, *(trial.cause for trial in run.trials)):
        raise KeyboardInterrupt
    return run


def _not_ours_to_score(error: Exception, folder: Path, redactor: Redactor) -> Verdict:
    """The verdict where something broke that is nobody's score: the host's disk, or a defect, whose traceback is kept
    as far as there is room.
    """
    if isinstance(error, OSError) and error.errno in DISK_FAULTS:
        return blocked(Cause.SANDBOX_FAILED, str(unwritable(error)))
    with suppress(OSError):
        write_bytes(folder / "internal_error.txt", redactor.bytes(traceback.format_exc().encode("utf-8", "replace")))
    return blocked(Cause.INTERNAL_ERROR, f"{type(error).__name__}: {error}; see internal_error.txt")


def _write_record(loaded: LoadedScenario, settings: Settings, begun: Begun, verdict: Verdict) -> BenchmarkRun:
    """Write what the run left beside its trials, and the record with the hashes of it all. Raises OSError."""
    folder = settings.run_folder / begun.name
    if begun.comparison.diff:
        write_bytes(folder / "parity.diff", ("\n".join(begun.comparison.diff) + "\n").encode())
    run = record(loaded, settings, begun, verdict)
    write_json(folder / "run.json", run)
    return run


@dataclass
class Begun:
    """What is known of a benchmark run while it goes on, so that a run that is cut short is recorded with all of it."""

    started: datetime
    name: str
    """Folder of the attempt, relative to the run folder."""
    observed: Observed | None = None
    wanted: int = 1
    """How many trials are to be run."""
    clean: bool | None = None
    commit_sha: str | None = None
    trials: list[TrialRecord] = field(default_factory=list)
    comparison: Comparison = field(default_factory=Comparison)
    trail: Trail = field(default_factory=Trail)
    acknowledgement: str | None = None
    """The audit entry by which a regression is green."""


def without_credentials(text: str) -> str:
    """The text without user and password in its URLs, whatever they are."""
    return re.sub(r"(?<=://)[^/@\s]+(?=@)", "[redacted:url]", text)


def find_baseline(loaded: LoadedScenario, settings: Settings, begun: Begun, whose: Authority) -> Match:
    """Hold what was observed against the lock, then find the baseline it may be compared with. Runs nothing.

    Raises BlockedError when the lock and what is observed differ, or a lock or baseline cannot be trusted.
    """
    assert begun.observed is not None  # noqa: S101 - for the type checker: the caller has just set it
    found, scenario_id = begun.observed.fingerprint, loaded.scenario.scenario_id
    begun.comparison = check_lock(loaded, settings, found)
    _refuse_drift(begun.comparison, loaded)
    whose.refuse_escapes(scenario_id)
    baselines = read_baselines(whose.tree, scenario_id, whose.trust)
    begun.trail = baselines.trail
    policy = Policy(
        require_baseline=cast("RequireBaseline", settings.require_baseline),
        host_parity=cast("HostParity", settings.host_parity),
    )
    match = find_match(
        found, baselines.active, ever_active=baselines.ever_active, policy=policy, today=begun.started.date()
    )
    begun.comparison = begun.comparison.model_copy(update={"diff": match.diff})
    return match


def check_lock(loaded: LoadedScenario, settings: Settings, found: Fingerprint) -> Comparison:
    """Hold what was observed against the lock beside the scenario. Raises BlockedError when the lock is broken."""
    lock = read_lock(loaded.folder)
    entry = lock.entry(settings.sandbox, loaded.scenario.scenario_id)
    if entry is None:
        return Comparison(lock="no entry" if lock.found else "none")
    drifted = drift(entry, found)
    if model_for(loaded, settings) != model_for(loaded, replace(settings, model=None)):
        # The cassette that is pinned is the scenario's own. A model that was asked for instead, for example to record
        # it anew, is another instrument with another baseline, and no drift.
        drifted = tuple(item for item in drifted if item.name != "cassette_content")
    diff = tuple(diff_lines(drifted, expected=LOCK_NAME, observed="observed now")) if drifted else ()
    return Comparison(lock="drift" if drifted else "equal", diff=diff)


def _refuse_drift(checked: Comparison, loaded: LoadedScenario) -> None:
    if checked.lock == "drift":
        raise BlockedError(
            f"what is observed differs from what {LOCK_NAME} pins:\n" + "\n".join(checked.diff),
            cause=Cause.PARITY,
            where=str(loaded.folder / LOCK_NAME),
            hint="bring the environment back; or, if the change is meant, `specbench lock`, review and commit",
        )


@contextmanager
def open_sandbox(loaded: LoadedScenario, settings: Settings) -> Iterator[Sandbox]:
    """The scenario's sandbox with its fixtures in place, when what is observed is what the lock pins.

    Raises BlockedError with the diff otherwise, and whatever preparing raises.
    """
    prepared = prepare(loaded, settings, lambda _phase, _steps: None)
    _refuse_drift(check_lock(loaded, settings, prepared.observed.fingerprint), loaded)
    sandbox = set_up(prepared.plan, loaded.scenario.deadlines.setup_sec, lambda failed: failed.close())
    try:
        yield sandbox
    finally:
        sandbox.close()


def judge_against(match: Match, loaded: LoadedScenario, begun: Begun) -> Verdict:
    """The verdict of the trials, compared with the baseline that was found."""
    scenario, by_rate = loaded.scenario, loaded.scenario.success is not None
    measured = summaries(begun.trials, by_rate=by_rate)
    compared: tuple[MetricComparison, ...] = ()
    if match.baseline is not None and begun.observed is not None:
        rules = ComparisonRules(
            scenario.metrics_tracked, scenario.thresholds, same_host=match.same_host, by_rate=by_rate
        )
        compared = compare(measured, match.baseline.metrics, rules)
        against = comparison_with(match.baseline, begun.observed.fingerprint, compared, same_host=match.same_host)
        begun.comparison = against.model_copy(update={"lock": begun.comparison.lock})
    criterion = None if scenario.success is None else Criterion(scenario.success.min_rate, begun.wanted)
    return judge(counted(begun.trials), measured, scenario.metrics_tracked, match, compared, criterion)


def with_acknowledgement(verdict: Verdict, loaded: LoadedScenario, begun: Begun) -> Verdict:
    """The verdict, green where it is a regression that a maintainer acknowledged and that is no worse than that."""
    if verdict.status is not Status.REGRESSION or begun.observed is None:
        return verdict
    found = begun.observed.fingerprint
    key = comparison_key(found, str(found.host.get("class")))
    not_covered: list[str] = []
    for filed in begun.trail.acknowledgements(loaded.scenario.scenario_id, key, begun.started.date()):
        entry, known = filed.entry, filed.entry.acknowledged
        if known is None:
            continue
        more = is_more_than(known, verdict.cause, counted(begun.trials), begun.comparison)
        if more is None:
            begun.acknowledgement = filed.name
            return acknowledged(verdict, f"acknowledged until {known.until} by {entry.by}: {entry.reason}")
        not_covered.append(f"the acknowledgement of {entry.at:%Y-%m-%d} does not cover it: {more}")
    return replace(verdict, notes="; ".join([verdict.notes, *not_covered]))


def lock_scenario(loaded: LoadedScenario, settings: Settings) -> None:
    """Write the lock entry of a scenario for the sandbox in use, or check it; runs nothing.

    Raises BlockedError(PARITY) with the diff when a check fails, and whatever observing raises.
    """
    observed = observe(loaded, settings)
    scenario_id, facts = loaded.scenario.scenario_id, locked_part(observed.fingerprint)
    if settings.lock_check:
        checked = check_lock(loaded, settings, observed.fingerprint)
        if checked.lock != "equal":
            raise BlockedError(
                f"the lock of {scenario_id!r} in {settings.sandbox!r}: {checked.lock}\n" + "\n".join(checked.diff),
                cause=Cause.PARITY,
                where=str(loaded.folder / LOCK_NAME),
                hint="`specbench lock`, review and commit",
            )
        return
    update_lock(loaded.folder, settings.sandbox, scenario_id, facts)


def complete_trials(settings: Settings, begun: Begun) -> Mapping[int, TrialFile]:
    """The trials that an earlier part of a resumed run has completed, by number; none in a new run."""
    if settings.resume is None or begun.observed is None:
        return {}
    scenario_id = begun.name.partition("/")[0]
    return earlier_trials(settings.run_folder, settings.run_id, scenario_id, begun.observed.fingerprint)


def run_trials(prepared: Prepared, begun: Begun, watch: Watch, complete: Mapping[int, TrialFile]) -> None:
    """Run every trial that is not `complete`, adding each record as it comes. Among several trials, one that failed for
    a passing fault of the infrastructure is repeated once; the failed attempt is kept, marked, and not counted.
    """
    wanted, may_repeat = prepared.trials, prepared.trials > 1
    into, run_folder = begun.trials, prepared.plan.run_folder
    folder = run_folder / begun.name
    for number in range(1, wanted + 1):
        if number in complete:
            into.append(take_trial(complete[number], run_folder, folder))
            continue
        plan = replace(prepared.plan, progress=_numbered(watch, number, wanted))
        trial = run_trial(plan, number, TrialFolder(folder, number))
        if may_repeat and trial.outcome is Outcome.INFRASTRUCTURE and trial.cause in REPEATABLE:
            may_repeat = False
            into.append(trial.model_copy(update={"repeated": True}))
            trial = run_trial(plan, number, TrialFolder(folder, number, again=True))
        into.append(trial)
        if trial.outcome is Outcome.INFRASTRUCTURE:
            return  # whatever the rest would give, the run is blocked


def _numbered(watch: Watch, trial: int, trials: int) -> Progress:
    def progress(phase: str, steps: int | None) -> None:
        watch(phase, trial, trials, steps)

    return progress


def counted(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that the verdict looks at."""
    return [trial for trial in trials if not trial.repeated]


def summaries(trials: Sequence[TrialRecord], *, by_rate: bool) -> dict[str, MetricSummary]:
    """Every metric over the counted trials. `by_rate`: what failed trials cost says nothing about a scenario that may
    fail now and then, so that all but `success` is taken from the trials that succeeded.
    """
    every = counted(trials)
    succeeded = [trial for trial in every if trial.outcome is Outcome.SUCCESS]
    return {
        name: summarise(name, (one.metrics[name] for one in (succeeded if by_rate and name != "success" else every)))
        for name in METRICS
    }


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
