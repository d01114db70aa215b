"""Runs commands in a container that may die under them, and ends what they started."""

from __future__ import annotations

import time

import requests
from docker import APIClient
from docker.errors import APIError

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.sandboxes.closing import Closing
from pytest_specbench.sandboxes.docker.container import is_not_running
from pytest_specbench.sandboxes.docker.engine import ENGINE_FAULTS, engine_errors
from pytest_specbench.sandboxes.docker.exec import (
    CANNOT_RUN,
    KILLED,
    Command,
    End,
    LostError,
    NotStartedError,
    Watch,
    run,
)
from pytest_specbench.sandboxes.docker.kill import kill_token
from pytest_specbench.sandboxes.docker.revival import Moment, Revival
from pytest_specbench.sandboxes.output import Output

DYING_SEC = 3
"""How long the engine may take to notice that a container is dead."""
KILL_SEC = 15
"""How long killing one command's processes may take before the whole container is restarted."""


class Commands:
    """The commands of one container: those that are asked for, and our own."""

    def __init__(self, api: APIClient, container: str, closing: Closing, revival: Revival) -> None:
        self._api = api
        self._container = container
        self._closing = closing
        self._revival = revival

    def exec(self, command: Command, output: Output, deadline: float) -> End:
        """Run it to its end. One whose deadline passed while a restart was waited for never starts.

        In a container that was ended from inside it runs after a restart; what cannot run says why, and has a shell's
        exit code. Raises InfrastructureError.
        """
        with self._closing.watch() as closing, engine_errors("run a command in the sandbox"):
            watch = Watch(deadline, closing, lambda: self._kill(command.token))
            began = self._revival.now
            if time.monotonic() >= deadline:
                return End(None)
            for _ in range(2):
                if self._revival.ruined is not None:
                    break
                try:
                    return self._try(command, output, watch, began)
                except _DiedError:
                    # A command may have killed the keeper, which is its own doing and not the engine's.
                    revived = self._revival.come_back_after(began)
                if revived is None:
                    return End(KILLED)
                began = revived
            reason = self._revival.give_up("the program that keeps it up ends at once")
            output(f"the sandbox cannot be started again: {reason}\n".encode())
            return End(CANNOT_RUN, started=False)

    def _try(self, command: Command, output: Output, watch: Watch, began: Moment) -> End:
        """Run it in one life of the container. Raises _DiedError when that was over before the command began."""
        try:
            end = run(self._api, self._container, command, output, watch)
        except LostError:
            if not self._revival.ended() and self._revival.now.life == began.life:
                raise InfrastructureError("the engine was restarted while a command ran") from None
            return End(KILLED)
        except NotStartedError as error:
            if self._dies():
                raise _DiedError from None
            # Too many processes, or no memory left for one more: what a shell says when it cannot fork.
            output(error.said)
            return End(CANNOT_RUN)
        except APIError as error:
            if is_not_running(error) and self._dies():
                raise _DiedError from None
            raise
        if end.code == KILLED:
            self._revival.refuse_outsiders()
        return end

    def run_briefly(self, argv: list[str], user: str) -> tuple[int | None, bytes]:
        """Run a command of ours as `user`; it has nothing to wait for."""
        output = Output(1_000_000, None)
        with self._closing.watch() as closing:
            watch = Watch(time.monotonic() + KILL_SEC, closing, lambda: None)
            try:
                code = run(self._api, self._container, Command(argv, user), output, watch).code
            except NotStartedError as error:
                return CANNOT_RUN, error.said
            except LostError:
                code = KILLED
        return code, output.kept()

    def _dies(self) -> bool:
        """Whether the container is dead, or about to be: then the engine tells within a moment."""
        try:
            self._api.wait(self._container, timeout=DYING_SEC, condition="not-running")
        except (requests.ConnectionError, requests.Timeout):
            return False
        return True

    def _kill(self, token: str) -> None:
        """Kill one command's processes; when that is not certain, everything."""
        self._revival.ended()  # what was held up from outside did not take too long
        began = self._revival.now
        try:
            certain = kill_token(self.run_briefly, token)
        except ENGINE_FAULTS:
            certain = False
        if not certain:
            self._revival.restart_after(began)


class _DiedError(Exception):
    """The container was dead, so that the command did not run."""
