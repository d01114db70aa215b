"""After a trial: its sandbox is kept for a look where that was asked for, and else removed."""

from __future__ import annotations

import threading

from pytest_specbench.core.deadline import DeadlineExceededError, run_bounded
from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.records import KeptSandbox
from pytest_specbench.sandboxes.base import Sandbox
from pytest_specbench.sandboxes.keeping import Keepable
from pytest_specbench.trial.plan import TrialPlan
from pytest_specbench.trial.record import Seen

LATE_SEC = 1.0
"""How long a keep may take to say that it has ended, once the sandbox is closed."""


def let_go(plan: TrialPlan, sandbox: Sandbox, seen: Seen) -> None:
    """Keep the sandbox where that was asked for, else remove it. What cannot be kept or removed is noted, whatever a
    third party's sandbox raises: it changes nothing about what the agent did.
    """
    seconds = plan.loaded.scenario.deadlines.teardown_sec
    if not plan.keep:
        _close(sandbox, seconds, seen)
        return
    keeping = _Keeping(sandbox)
    try:
        seen.kept = run_bounded(keeping.keep, seconds, phase="keeping the sandbox")
    except DeadlineExceededError as error:
        _close(sandbox, seconds, seen)
        _note_late(keeping, error, seen)
    except Exception as error:  # noqa: BLE001 - a third party's defect, which changes nothing about the trial
        seen.notes.append(f"the sandbox was not kept, and is removed: {_said(error)}")
        _close(sandbox, seconds, seen)


class _Keeping:
    """Keeps a sandbox, and knows what came of it after its deadline."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.ended = threading.Event()
        self.kept: KeptSandbox | None = None

    def keep(self) -> KeptSandbox:
        try:
            if not isinstance(self._sandbox, Keepable):
                raise InfrastructureError(f"a {type(self._sandbox).__name__} cannot be kept")
            self.kept = self._sandbox.keep()
            return self.kept
        finally:
            self.ended.set()


def _note_late(keeping: _Keeping, error: DeadlineExceededError, seen: Seen) -> None:
    """Say what became of a sandbox whose keeping took too long, now that it is closed: closing one that is kept by then
    does nothing.
    """
    if not keeping.ended.wait(LATE_SEC):
        seen.notes.append(f"whether the sandbox was kept is not known: {error}; see: specbench gc --dry-run")
    elif keeping.kept is None:
        seen.notes.append(f"the sandbox was not kept, and is removed: {error}")
    else:
        seen.kept = keeping.kept
        seen.notes.append(f"the sandbox was kept, though late: {error}")


def _close(sandbox: Sandbox, seconds: float, seen: Seen) -> None:
    try:
        run_bounded(sandbox.close, seconds, phase="teardown")
    except Exception as error:  # noqa: BLE001 - as above
        seen.notes.append(f"teardown: {_said(error)}")


def _said(error: Exception) -> str:
    ours = isinstance(error, InfrastructureError | DeadlineExceededError)
    return str(error) if ours else f"{type(error).__name__}: {error}"
