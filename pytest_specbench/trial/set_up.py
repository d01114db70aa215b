"""Before an agent acts: the agent is ready, the sandbox is up, and every fixture is in its place."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pytest_specbench.agents.base import Agent, AgentTask
from pytest_specbench.core.deadline import DeadlineExceededError, run_bounded
from pytest_specbench.core.errors import BlockedError, InfrastructureError
from pytest_specbench.core.records import SandboxRecord
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.base import Sandbox
from pytest_specbench.trial.plan import TrialPlan


def prepare_agent(agent: Agent, task: AgentTask, seconds: float) -> None:
    """Let the agent import and open what is slow, within the deadline of the set-up."""
    try:
        run_bounded(lambda: agent.prepare(task), seconds, phase="preparing the agent")
    except DeadlineExceededError as error:
        raise InfrastructureError(
            str(error), cause=Cause.SETUP_FAILED, hint="raise deadlines.setup_sec of the scenario"
        ) from None


def require_image(plan: TrialPlan, sandbox: SandboxRecord) -> None:
    """Raise BlockedError(PARITY) when a sandbox is not made of the image that the fingerprint is made of."""
    if sandbox.image != plan.image:
        raise BlockedError(
            f"the image {plan.spec.image!r} is not the one that the run began with",
            cause=Cause.PARITY,
            expected=str(plan.image and plan.image.digest),
            hint="run again when nobody builds, pulls, pushes or tags it meanwhile; a sandbox of your own must say in "
            "`record` what its backend says in `identify`",
        )


def set_up(plan: TrialPlan, seconds: float, let_go: Callable[[Sandbox], None]) -> Sandbox:
    """A running sandbox with every fixture in place. One whose fixtures fail is let go of, and so is one that was being
    started when the run was interrupted.
    """
    made: list[Sandbox] = []
    started = threading.Event()

    def start() -> Sandbox:
        try:
            made.append(plan.backend.start(plan.spec))
        finally:
            started.set()
        return made[0]

    def work() -> Sandbox:
        sandbox = start()
        sandbox.set_network(plan.loaded.scenario.runner.network.setup)
        for fixture in plan.fixtures:
            if fixture.archive is not None:
                sandbox.put(fixture.archive, fixture.target)
            for command in fixture.commands:
                result = sandbox.exec(command, timeout_sec=seconds, environment=plan.spec.environment)
                if result.exit_code != 0:
                    raise InfrastructureError(
                        f"fixture {fixture.name!r}: {' '.join(command)} ended with {result.exit_code}: "
                        + result.output.decode(errors="replace")[-500:],
                        cause=Cause.SETUP_FAILED,
                    )
        return sandbox

    try:
        return run_bounded(work, seconds, phase="set-up", on_late=lambda late: late.close())
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            # The process may end before its thread has what could be removed: that would stay.
            started.wait(plan.loaded.scenario.deadlines.teardown_sec)
        for sandbox in made:
            let_go(sandbox)
        if isinstance(error, DeadlineExceededError):
            raise InfrastructureError(
                str(error), cause=Cause.SETUP_FAILED, hint="raise deadlines.setup_sec of the scenario"
            ) from None
        raise
