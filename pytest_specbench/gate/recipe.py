"""The gate: scenario -> what must hold before anything runs -> trials -> metrics -> verdict -> benchmark run."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pytest_specbench.core.errors import BlockedError, DatasetError, SpecbenchError
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.redact import Redactor, without_credentials
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import REPEATABLE, Cause, Outcome
from pytest_specbench.core.verdict import Verdict, blocked
from pytest_specbench.gate.benchmark_record import record, write_record
from pytest_specbench.gate.earlier import earlier_trials
from pytest_specbench.gate.judgement import Begun, find_baseline, judge_against, with_acknowledgement
from pytest_specbench.gate.preparation import Prepared, prepare
from pytest_specbench.recording.attempts import claim_attempt
from pytest_specbench.recording.files import DISK_FAULTS, unwritable, write_bytes
from pytest_specbench.recording.folder import TrialFolder
from pytest_specbench.recording.trial_file import TrialFile, take_trial
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.store.trusted.authority import Authority, authority
from pytest_specbench.trial.plan import Progress
from pytest_specbench.trial.recipe import run_trial

type Watch = Callable[[str, int, int, int | None], None]
"""Progress: phase, number of the trial, number of trials, steps so far (None where no agent acts)."""


def run_benchmark(
    loaded: LoadedScenario, settings: Settings, watch: Watch, whose: Callable[[], Authority] | None = None
) -> BenchmarkRun:
    """Run one scenario and judge it by what `whose` says to count, which is read from the settings unless it is given.

    Never raises for anything that has a status: it returns a blocked run instead. An interruption (KeyboardInterrupt)
    goes on after the record is written, which says so.
    """
    # Until a folder is claimed there is none of that name, and nothing can be written over.
    begun = Begun(datetime.now(UTC), f"{loaded.scenario.scenario_id}/unclaimed")
    redactor = Redactor.from_environment(loaded.scenario.secrets, os.environ)
    whose = whose or partial(authority, settings)
    interrupted = False
    try:
        begun.name = claim_attempt(settings.run_folder, loaded.scenario.scenario_id)
        prepared = prepare(loaded, settings, lambda phase, steps: watch(phase, 0, 0, steps))
        begun.observed, begun.wanted = prepared.observed, prepared.trials
        begun.clean, begun.commit_sha = prepared.clean, prepared.plan.invocation.commit_sha
        match = find_baseline(loaded, settings, begun, whose())
        if match.baseline is None and match.cause not in (None, Cause.APPROVAL_NEEDED):
            verdict = blocked(match.cause, match.notes)
        else:
            run_trials(prepared, begun, watch, complete_trials(settings, begun, prepared))
            verdict = with_acknowledgement(judge_against(match, loaded, begun), match, loaded, begun)
    except BlockedError as error:
        verdict = blocked(error.cause, str(error))
    except DatasetError as error:
        verdict = blocked(Cause.DATASET_MISSING, str(error))
    except SpecbenchError as error:
        verdict = blocked(Cause.CONFIGURATION, str(error))
    except KeyboardInterrupt:
        interrupted = True
        verdict = blocked(Cause.INTERRUPTED, "the run was interrupted")
    except Exception as error:  # noqa: BLE001 - a defect, ours or a plug-in's, is told and never scored
        verdict = _not_ours_to_score(error, settings.run_folder / begun.name, redactor)
    verdict = replace(verdict, notes=redactor.text(without_credentials(verdict.notes)))
    try:
        run = write_record(loaded, settings, begun, verdict)
    except OSError as error:
        # Evidence that nobody can look at is none.
        run = record(loaded, settings, begun, blocked(Cause.SANDBOX_FAILED, str(unwritable(error))))
    if interrupted or Cause.INTERRUPTED in (trial.cause for trial in begun.trials):
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


def complete_trials(settings: Settings, begun: Begun, prepared: Prepared) -> Mapping[int, TrialFile]:
    """The trials that an earlier part of a resumed run has completed, by number; none in a new run."""
    if settings.resume is None:
        return {}
    scenario_id, now = begun.name.partition("/")[0], prepared.observed.fingerprint
    return earlier_trials(settings.run_folder, settings.run_id, scenario_id, now, prepared.plan.invocation.tree)


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
