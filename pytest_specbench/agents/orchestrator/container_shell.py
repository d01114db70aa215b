"""A shell over a container that terminal-bench has started: real exit codes, time limits that are enforced."""

from __future__ import annotations

import queue
import re
import shlex
import threading
import time
from typing import Any
from uuid import uuid4

from pytest_specbench.agents.base import CommandResult
from pytest_specbench.core.errors import AgentError, AgentStoppedError, InfrastructureError
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import Journal
from pytest_specbench.sandboxes.output import ONE_STREAM

_MAX_OUTPUT = 1_000_000
_CONTROL_SEC = 30.0
_WILD = re.compile(r"([*?]+)")
_TOKEN = "_SPECBENCH_EXEC"  # noqa: S105 - the name of a variable that marks processes
_READ = 'for f in {glob}; do [ -f "$f" ] && printf "%s\\0" "$f" && cat <"$f" && printf "\\0"; done; exit 0'
_KILL = """
while :; do
  found=
  for folder in /proc/[0-9]*; do
    if tr '\\0' '\\n' < "$folder/environ" 2>/dev/null | grep -qx '{mark}'; then
      kill -9 "${{folder#/proc/}}" 2>/dev/null && found=1
    fi
  done
  [ -n "$found" ] || exit 0
done
"""


class ContainerShell:
    """Implements `agents.base.Shell` over a docker-py container. Nothing is policed here: the container is the fence.

    `user` is who runs the commands (empty: the image's own), `command_sec` the default time limit, `deadline` the end
    of the phase by `time.monotonic()`.
    """

    def __init__(self, container: Any, journal: Journal, *, user: str, command_sec: float, deadline: float) -> None:
        self._container = container
        self._api = container.client.api
        self._journal = journal
        self._user = user
        self._command_sec = command_sec
        self._deadline = deadline
        code, output = self._exec("pwd -P", _CONTROL_SEC)
        if code != 0:
            raise InfrastructureError(f"the container has no usable shell: {output.decode(errors='replace')[:500]}")
        self.workdir = output.decode().strip()

    def run(self, command: str, *, timeout_sec: float | None = None) -> CommandResult:
        left = self._left()
        limit = min(left, self._command_sec if timeout_sec is None else timeout_sec)
        self._journal.command(command)
        code, output = self._exec(command, limit)
        self._journal.output(output)
        if code is None and limit == left:
            raise AgentStoppedError("the phase ended while a command was running")
        text = output[:_MAX_OUTPUT].decode("utf-8", errors="replace")
        if len(output) > _MAX_OUTPUT:
            text += "\n[output cut here: there was more]\n"
        return CommandResult(code, text)

    def read(self, pattern: str) -> dict[str, str]:
        self._left()
        if not pattern or pattern.startswith("/") or ".." in pattern.split("/") or "\0" in pattern:
            return {}
        word = "".join(part if _WILD.match(part) else shlex.quote(part) for part in _WILD.split(pattern) if part)
        code, output = self._exec(_READ.format(glob=word), _CONTROL_SEC, stderr=False)
        if code != 0:
            raise InfrastructureError(f"files {pattern!r} could not be read: exit code {code}")
        if len(output) > _MAX_OUTPUT:
            raise AgentError(
                f"what matches {pattern!r} holds more than {_MAX_OUTPUT} bytes", cause=Cause.ARTIFACT_INVALID
            )
        parts = output.decode("utf-8", errors="replace").split("\0")
        names, texts = parts[:-1:2], parts[1::2]
        return {name: text for name, text in zip(names, texts, strict=False) if ".." not in name.split("/")}

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise AgentStoppedError("the phase is over")
        return left

    def _exec(self, command: str, timeout_sec: float, *, stderr: bool = True) -> tuple[int | None, bytes]:
        """Exit code and output of `sh -c command`; null when it was killed, with its descendants, at its limit."""
        token = uuid4().hex
        chunks: list[bytes] = []
        ended: queue.SimpleQueue[Exception | int] = queue.SimpleQueue()

        def work() -> None:
            try:
                exec_id = self._create(command, {_TOKEN: token}, self._user, stderr=stderr)
                for chunk in self._api.exec_start(exec_id, stream=True):
                    if sum(map(len, chunks)) <= _MAX_OUTPUT:
                        chunks.append(chunk)
                ended.put(int(self._api.exec_inspect(exec_id)["ExitCode"]))
            except Exception as error:  # noqa: BLE001 - docker's errors are known to the sandboxes only; handed over
                ended.put(error)

        threading.Thread(target=work, name="specbench-exec", daemon=True).start()
        try:
            result = ended.get(timeout=timeout_sec)
        except queue.Empty:
            self._kill(token)
            try:
                ended.get(timeout=_CONTROL_SEC)
            except queue.Empty:
                raise InfrastructureError("a command could not be killed at its time limit") from None
            return None, b"".join(chunks)
        if isinstance(result, Exception):
            raise InfrastructureError(f"the container failed: {type(result).__name__}: {result}") from result
        return result, b"".join(chunks)

    def _create(self, command: str, environment: dict[str, str], user: str, *, stderr: bool = True) -> str:
        argv = [*(ONE_STREAM if stderr else ()), "sh", "-c", command]
        made = self._api.exec_create(self._container.id, argv, environment=environment, user=user, stderr=stderr)
        return str(made["Id"])

    def _kill(self, token: str) -> None:
        """Kill every process that has the token in its environment, whatever it did to its session and parents."""
        try:
            exec_id = self._create(_KILL.format(mark=f"{_TOKEN}={token}"), {}, "0")
            self._api.exec_start(exec_id)
        except Exception as error:
            raise InfrastructureError(f"a command could not be killed at its time limit: {error}") from error
