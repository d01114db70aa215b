"""Ends everything in a container and brings it up again, once for each reason to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from docker import APIClient

from pytest_specbench.core.errors import AgentError
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.closing import Closing
from pytest_specbench.sandboxes.docker.freeze import Still
from pytest_specbench.sandboxes.docker.keeper import REPLACED, Keeper, ReplacedError
from pytest_specbench.sandboxes.docker.life import Life
from pytest_specbench.sandboxes.docker.usage import Meter


@dataclass(frozen=True)
class Moment:
    """When something began: in which life of the container, and after how many times that everything was killed."""

    life: int
    phase: int


class Revival:
    """One container over all of its lives.

    A lock is held while we end the container, so that nobody takes our own doing for somebody else's. Restarts are
    counted: who has a reason to restart says which life it was in, and a life is ended once. So a command that was left
    behind ends nothing of the phase that came after it.
    """

    def __init__(self, api: APIClient, container: str, keeper: Keeper, closing: Closing) -> None:
        self._keeper = keeper
        self._closing = closing
        self._life = Life(api, container)
        self._lock = threading.RLock()
        self._now = Moment(0, 0)
        self._meter: Meter | None = None
        self._ruined: str | None = None

    @property
    def ruined(self) -> str | None:
        """Why the container cannot run any more, when what was done inside of it is to blame."""
        return self._ruined

    @property
    def now(self) -> Moment:
        """A restart that is being made is waited for."""
        with self._lock:
            return self._now

    def begin(self) -> None:
        """Take what runs right after the first start for ours. Raises the engine's errors and InfrastructureError."""
        self._life.begin()
        self._keeper.remember_processes()

    def ended(self) -> bool:
        """Whether the container was ended from inside, or by us. Raises as `Life.ended` does."""
        with self._lock:
            return self._life.ended()

    def refuse_outsiders(self) -> None:
        """Raise InfrastructureError when somebody has asked the engine to end it."""
        with self._lock:
            self._life.refuse_outsiders()

    def measure(self, meter: Meter) -> None:
        """Measure over restarts, from now on."""
        meter.resume()
        self._meter = meter

    def stop_measuring(self) -> Meter | None:
        """The meter, which is not paused and resumed any more; None where there is none."""
        meter, self._meter = self._meter, None
        return meter

    def pause_measuring(self) -> None:
        """The container is about to be removed."""
        if self._meter is not None:
            self._meter.pause()

    def restart_after(self, moment: Moment) -> None:
        """End everything, unless that was done since, or whoever closes the sandbox does it anyway."""
        with self._lock:
            if self._now.life == moment.life and not self._closing.closed:
                self.restart()

    def come_back_after(self, moment: Moment) -> Moment | None:
        """Start again what ended in that life, and return when it did; None when everything was killed since: what
        began before that has no place after it.

        Raises InfrastructureError when it was ended from outside.
        """
        with self._lock:
            self._life.ended()
            if self._now.phase != moment.phase:
                return None
            self.restart_after(moment)
            return self._now

    def kill_all(self, look: Callable[[], Still | None]) -> tuple[str, ...]:
        """End everything, and return the command lines of what ran. `look` tells what is there, where it proves it.

        Raises AgentError when what would start again is not ours any more, InfrastructureError and the engine's errors.
        """
        with self._lock:
            self._life.ended()
            self._now = Moment(self._now.life, self._now.phase + 1)
            still = look() if self._ruined is None else None
            left = self._keeper.others() if still is None else still.others
            if still is None or not still.untouched:
                # Also when nothing is seen: who forks and ends all the time, or is traced, is in no list.
                self.restart()
        if self._ruined == REPLACED:
            raise AgentError(REPLACED, cause=Cause.VERIFIER_SAID_NO)
        return left

    def restart(self) -> None:
        """End everything at once. What was measured until now stands, and measuring goes on.

        When it does not come up again because of what was done to its files, nothing runs in it either.
        """
        with self._lock:
            meter = self._meter
            if meter is not None:
                meter.pause()
            self._now = Moment(self._now.life + 1, self._now.phase)
            try:
                self._ruined = self._keeper.restart() or self._ruined
            except ReplacedError:
                self._ruined = REPLACED
            self._life.begin()
            if meter is not None:
                meter.resume()

    def give_up(self, reason: str) -> str:
        """It ends whenever it is started; return why it cannot run."""
        self._ruined = self._ruined or reason
        return self._ruined
