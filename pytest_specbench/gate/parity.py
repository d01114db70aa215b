"""What is observed, held against what the lock pins: a difference blocks before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pytest_specbench.core.errors import BlockedError
from pytest_specbench.core.fingerprint import diff_lines, locked_part
from pytest_specbench.core.matching import drift
from pytest_specbench.core.records import (
    Comparison,
    Fingerprint,
)
from pytest_specbench.core.settings import Settings
from pytest_specbench.core.status import Cause
from pytest_specbench.gate.agent import model_for
from pytest_specbench.gate.preparation import observe, prepare
from pytest_specbench.sandboxes.base import Sandbox
from pytest_specbench.scenarios.loader import LoadedScenario
from pytest_specbench.store.lock import LOCK_NAME, read_lock, update_lock
from pytest_specbench.trial.set_up import require_image, set_up

IMAGE_HINT = (
    ". Where the image is what you test, say so in the scenario: subject: [agent, runner_image]; where it is built "
    "anew from the same files: runner: {pin: recipe}"
)


def check_lock(loaded: LoadedScenario, settings: Settings, found: Fingerprint) -> Comparison:
    """Hold what was observed against the lock beside the scenario. Raises BlockedError when the lock is broken."""
    lock = read_lock(loaded.folder)
    entry = lock.entry(settings.sandbox, loaded.scenario.scenario_id)
    if entry is None:
        return Comparison(lock="no entry" if lock.found else "none")
    drifted = drift(entry, found)
    asks = {**found.instrument, **found.subject}.get("model")
    if asks is None or model_for(loaded, settings) != model_for(loaded, replace(settings, model=None)):
        # The cassette that is pinned is the scenario's own. A model that was asked for instead, for example to record
        # it anew, is another instrument with another baseline, and no drift; so is an agent that asks none.
        drifted = tuple(item for item in drifted if item.name != "cassette_content")
    diff = tuple(diff_lines(drifted, expected=LOCK_NAME, observed="observed now")) if drifted else ()
    return Comparison(lock="drift" if drifted else "equal", diff=diff)


def refuse_drift(checked: Comparison, loaded: LoadedScenario, settings: Settings) -> None:
    """Raises BlockedError(PARITY) with the diff when what was observed is not what the lock pins."""
    if checked.lock == "drift":
        raise BlockedError(
            f"what is observed differs from what {LOCK_NAME} pins:\n" + "\n".join(checked.diff),
            cause=Cause.PARITY,
            where=settings.called(loaded.folder / LOCK_NAME),
            hint="bring the environment back; or, if the change is meant, `specbench lock`, review and commit"
            + (IMAGE_HINT if any(line.startswith("- runner_image:") for line in checked.diff) else ""),
        )


def lock_scenario(loaded: LoadedScenario, settings: Settings) -> str:
    """Write the lock entry of a scenario for the sandbox in use, or check it, and say what was done; runs nothing.

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
                where=settings.called(loaded.folder / LOCK_NAME),
                hint="`specbench lock`, review and commit",
            )
        return f"{settings.called(loaded.folder / LOCK_NAME)} fits: {scenario_id} in {settings.sandbox}"
    update_lock(loaded.folder, settings.sandbox, scenario_id, facts)
    return (
        f"wrote {settings.called(loaded.folder / LOCK_NAME)}: {scenario_id} in {settings.sandbox}, {len(facts)} facts"
    )


@contextmanager
def open_sandbox(loaded: LoadedScenario, settings: Settings) -> Iterator[Sandbox]:
    """The scenario's sandbox with its fixtures in place, when what is observed is what the lock pins.

    Raises BlockedError with the diff otherwise, and whatever preparing raises.
    """
    prepared = prepare(loaded, settings, lambda _phase, _steps: None)
    refuse_drift(check_lock(loaded, settings, prepared.observed.fingerprint), loaded, settings)
    sandbox = set_up(prepared.plan, loaded.scenario.deadlines.setup_sec, lambda failed: failed.close())
    try:
        require_image(prepared.plan, sandbox.record())
        yield sandbox
    finally:
        sandbox.close()
