"""The verification phase: every check of what a dead agent left, by its own deadline."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path

from pytest_specbench.core.deadline import DeadlineExceededError, run_bounded
from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.core.records import CheckResult
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.files import unwritable
from pytest_specbench.recording.folder import PostTestWriter, TrialFolder
from pytest_specbench.recording.redact_tree import redact_tree
from pytest_specbench.sandboxes.base import Sandbox
from pytest_specbench.sandboxes.room import refuse_full_disk
from pytest_specbench.trial.plan import TrialPlan
from pytest_specbench.trial.record import Seen
from pytest_specbench.verifiers import applicable
from pytest_specbench.verifiers.base import VerificationContext

REDACTION_SEC = 5.0
"""How long secrets may be looked for in what a verifier kept where its deadline leaves less: it is worth a look."""


def verify(plan: TrialPlan, sandbox: Sandbox, folder: TrialFolder, seconds: float) -> tuple[CheckResult, ...]:
    """Every check that applies, in order. Infrastructure that fails here is never the agent's failure."""
    deadline = time.monotonic() + seconds

    def left() -> float:
        rest = deadline - time.monotonic()
        if rest <= 0:
            raise InfrastructureError(f"verification took more than {seconds:g} s", cause=Cause.VERIFIER_TIMEOUT)
        return rest

    with PostTestWriter(folder.post_test, plan.redactor) as post_test:

        def write(chunk: bytes) -> None:
            try:
                post_test.write(chunk)
            except OSError as error:
                raise unwritable(error) from error

        context = VerificationContext(
            scenario=plan.loaded.scenario,
            scenario_folder=plan.loaded.folder,
            sandbox=sandbox,
            folder=folder.verifier,
            write=write,
            remaining=left,
        )

        over = threading.Event()

        def work() -> list[CheckResult]:
            try:
                return [check for verifier in applicable(plan.loaded.scenario) for check in verifier.verify(context)]
            finally:
                if over.is_set():  # left behind at the deadline: what it kept since was never redacted
                    redact_tree(folder.verifier, plan.redactor)

        try:
            # A little more than the deadline, so that a verifier which keeps it can say itself what it was doing.
            checks = tuple(run_bounded(work, seconds + 1.0, phase="verification"))
        except DeadlineExceededError as error:
            raise InfrastructureError(
                str(error), cause=Cause.VERIFIER_TIMEOUT, hint="raise deadlines.verification_sec of the scenario"
            ) from None
        finally:
            over.set()
            unredacted = redact_kept(folder.verifier, plan.redactor, max(deadline - time.monotonic(), REDACTION_SEC))
        if unredacted is not None:
            raise unredacted
        return checks


def redact_kept(kept: Path, redactor: Redactor, seconds: float) -> InfrastructureError | None:
    """Take the secrets out of what a verifier kept, which is the agent's; all of it goes where that does not end well
    within `seconds`. Returns why it did not, so that what is being raised already goes on.
    """
    try:
        run_bounded(lambda: redact_tree(kept, redactor), seconds, phase="looking for secrets in what the verifier kept")
    except DeadlineExceededError as error:
        _discard(kept)
        hint = "raise deadlines.verification_sec of the scenario"
        return InfrastructureError(f"{error}; it was removed", cause=Cause.VERIFIER_TIMEOUT, hint=hint)
    except OSError as error:
        _discard(kept)
        return unwritable(error)
    except BaseException:
        _discard(kept)
        raise
    return None


def _discard(kept: Path) -> None:
    aside = kept.with_name(".unredacted")
    with suppress(OSError):
        kept.rename(aside)  # whoever still redacts in there finds nothing any more
    for left in (aside, kept):
        if left.exists():
            shutil.rmtree(left)


def excuse_full_disk(sandbox: Sandbox, seconds: float, seen: Seen) -> None:
    """What failed where the disk takes nothing any more counts against nobody."""
    content = seen.outcome is not None and seen.outcome.cause is Cause.VERIFIED and seen.outcome.exit_status == 0
    if seen.failure is None and content and all(check.passed for check in seen.checks):
        return
    try:
        run_bounded(lambda: refuse_full_disk(sandbox), seconds, phase="looking for room")
    except InfrastructureError as error:
        seen.failure = error
    except DeadlineExceededError:
        return  # what is known of the agent stands
