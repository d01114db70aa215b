"""Runs one command in a container, with a deadline that holds."""

from __future__ import annotations

import io
import re
import select
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from docker import APIClient
from docker.errors import NotFound

from pytest_specbench.core.errors import InfrastructureError
from pytest_specbench.sandboxes.closing import closed_error

TOKEN = "_SPECBENCH_EXEC"  # noqa: S105 - the name of a variable, no secret
IDLE_SEC = 0.5
"""How long an open stream may be silent before the engine is asked whether the command is still there."""
CANNOT_RUN, NOT_FOUND, KILLED = 126, 127, 137
ENGINES_WORDS = re.compile(rb"OCI runtime exec failed|cannot exec|task [0-9a-f]{64}|Error: (?:runc|crun):")
"""How a refusal begins: in a container that is dying the engine does not find its task. The last is Podman's."""
HELD_BYTES = 4000
"""How long what begins so may be and still be the engine's."""
COMMANDS_FAULT = re.compile(
    rb'chdir|working directory|exec: "|(?<![/\w])exec /|exec user process|executable file|open executable|exec format'
    rb"|too long"
)
"""Reasons not to start that lie in the command or in what the agent did to the workdir, be they what they may. Any
other, as a control group that is gone, is the engine's, though its words may be the same: `no such file`.
"""


@dataclass(frozen=True)
class Command:
    """What to run, as whom. `token` is in the environment of the command and of its descendants."""

    argv: Sequence[str]
    user: str
    environment: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    token: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class End:
    """How a command ended."""

    code: int | None
    """As a shell would give it; None when it was killed at the deadline."""
    started: bool = True
    """False when the engine refused to start it for what it found inside: the program or the workdir."""


@dataclass(frozen=True)
class Watch:
    """What ends a command from outside: the deadline by `time.monotonic()`, and the sandbox's closing.

    `kill` kills the command and its descendants; it is called once, at the deadline.
    """

    deadline: float
    closing: int
    kill: Callable[[], None]


def run(api: APIClient, container: str, command: Command, sink: Callable[[bytes], None], watch: Watch) -> End:
    """Run `command` to its end.

    `sink` gets the output as it comes. Raises the engine's own errors, LostError, NotStartedError, and
    InfrastructureError on closing.
    """
    environment = {**command.environment, TOKEN: command.token}
    started = api.exec_create(
        container, list(command.argv), environment=environment, user=command.user, workdir=command.workdir
    )
    exec_id = str(started["Id"])
    head = _Head(sink)
    with _connection(api, exec_id) as (connection, early):
        poller = select.poll()
        poller.register(connection, select.POLLIN)
        poller.register(watch.closing, select.POLLIN)
        stream = _Stream(connection, poller, watch.closing)
        stream.split(early, head)
        in_time = stream.pump(head, watch.deadline, lambda: _running(api, exec_id))
    # The connection is closed by now: output that nobody reads would hold up the engine, and the killing with it.
    state = _await_end(api, exec_id, watch) if in_time else None
    if state is None:
        watch.kill()
        head.release()
        return End(None)
    refused = _was_refused(state, head.text)
    if refused and not COMMANDS_FAULT.search(head.text):
        raise NotStartedError(head.text)
    head.release()
    return End(_exit_code(state, head.text), started=not refused)


class NotStartedError(Exception):
    """The engine could not start a process, for a reason that does not lie in the command: `said` is its reason."""

    def __init__(self, said: bytes) -> None:
        super().__init__(said)
        self.said = said


class LostError(Exception):
    """The engine knows nothing of the command any more: its container has ended, or the engine was restarted."""


@dataclass
class _Head:
    """Passes output on, and keeps the beginning: where the engine says why a command did not start.

    What reads as if the engine said it is held back until it is too long for that or `release` is called.
    """

    sink: Callable[[bytes], None]
    text: bytes = b""
    held: bytes = b""

    def __call__(self, chunk: bytes) -> None:
        first = not self.text
        self.text += chunk[: 1000 - len(self.text)]
        held = self.held + chunk
        if (first or self.held) and ENGINES_WORDS.match(held) and len(held) <= HELD_BYTES:
            self.held = held
            return
        self.release()
        self.sink(chunk)

    def release(self) -> None:
        """It was the command's own output."""
        if self.held:
            held, self.held = self.held, b""
            self.sink(held)


@contextmanager
def _connection(api: APIClient, exec_id: str) -> Iterator[tuple[socket.socket, bytes]]:
    """Start the command and yield the raw connection that its output comes through, and what already came."""
    wrapper: Any = api.exec_start(exec_id, socket=True)
    connection = getattr(wrapper, "_sock", wrapper)
    if not isinstance(connection, socket.socket):
        raise InfrastructureError(
            "the engine is reached by a transport that cannot be waited on",
            hint="set DOCKER_HOST to a unix:// or tcp:// address (an SSH tunnel to the engine's socket works too)",
        )
    connection.setblocking(False)
    response = getattr(wrapper, "_response", None)
    try:
        yield connection, _early(response)
    finally:
        if response is not None:
            response.close()
        wrapper.close()
        connection.close()


def _early(response: Any) -> bytes:
    """Output that came so soon after the answer's header that the HTTP client read it along with that."""
    reader = getattr(getattr(getattr(response, "raw", None), "_fp", None), "fp", None)
    return reader.peek() if isinstance(reader, io.BufferedReader) else b""


class _Stream:
    """The multiplexed output of a command: frames of a header (kind, three zeros, length) and a payload."""

    def __init__(self, connection: socket.socket, poller: select.poll, closing: int) -> None:
        self._connection = connection
        self._poller = poller
        self._closing = closing
        self._header = b""
        self._left = 0

    def pump(self, sink: Callable[[bytes], None], deadline: float, running: Callable[[], bool]) -> bool:
        """Pass output on until its end; False when the deadline came first.

        A child in the background may hold the stream open: so when it is silent, `running` is asked.
        """
        while True:
            chunk = self._receive()
            if chunk == b"":
                return True
            if chunk is not None:
                self.split(chunk, sink)
            pause = min(deadline - time.monotonic(), IDLE_SEC)
            if pause <= 0:
                return False
            if chunk is None and not self._wait(pause) and not running():
                return True

    def _receive(self) -> bytes | None:
        """Bytes, b"" at the end of the stream, None when there is nothing now."""
        try:
            return self._connection.recv(65536)
        except (BlockingIOError, TimeoutError):
            return None
        except OSError as error:
            if "SSLWantRead" in type(error).__name__:
                return None
            raise

    def _wait(self, seconds: float) -> bool:
        ready = {descriptor for descriptor, _ in self._poller.poll(seconds * 1000)}
        if self._closing in ready:
            raise closed_error()
        return bool(ready)

    def split(self, data: bytes, sink: Callable[[bytes], None]) -> None:
        """Take the frames apart; a frame's payload is passed on as far as it is there."""
        while data:
            if self._left:
                payload, data = data[: self._left], data[self._left :]
                self._left -= len(payload)
                sink(payload)
                continue
            missing = 8 - len(self._header)
            self._header, data = self._header + data[:missing], data[missing:]
            if len(self._header) == 8:
                self._left = int.from_bytes(self._header[4:], "big")
                self._header = b""


def _inspect(api: APIClient, exec_id: str) -> dict[str, Any]:
    """State of the command. Raises LostError when the engine forgot it."""
    try:
        return dict(api.exec_inspect(exec_id))
    except NotFound as error:
        raise LostError from error


def _running(api: APIClient, exec_id: str) -> bool:
    return bool(_inspect(api, exec_id)["Running"])


def _await_end(api: APIClient, exec_id: str, watch: Watch) -> dict[str, Any] | None:
    """State of the command once it has ended; None at the deadline.

    The stream ends a moment before the engine notes the exit code, or long before when the command closed its output.
    The engine tells of that end only on its event stream, which would cost a connection a sandbox: so it is asked.
    """
    poller = select.poll()
    poller.register(watch.closing, select.POLLIN)
    pause = 0.002
    while (state := _inspect(api, exec_id))["Running"]:
        left = watch.deadline - time.monotonic()
        if left <= 0:
            return None
        if poller.poll(min(pause, left) * 1000):
            raise closed_error()
        pause = min(pause * 2, 0.1)
    return state


def _was_refused(state: Mapping[str, Any], beginning: bytes) -> bool:
    """Podman knows no process id of any command that has ended: so the words and the exit code must say it, too."""
    code = state["ExitCode"]
    never_ran = state.get("Pid") == 0 and code in (125, CANNOT_RUN, NOT_FOUND)
    return never_ran and ENGINES_WORDS.match(beginning) is not None


def _exit_code(state: Mapping[str, Any], beginning: bytes) -> int:
    """The exit code as a shell would give it: 126 cannot be run, 127 not found, 137 killed with the container."""
    code = state["ExitCode"]
    if code is None:
        return KILLED
    if _was_refused(state, beginning):  # Podman tells them apart in a way of its own
        return NOT_FOUND if b"executable file not found" in beginning else CANNOT_RUN
    return int(code)
