"""What an engine says instead of starting a command, and what only reads like that."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_specbench.sandboxes.docker.exec import COMMANDS_FAULT, _exit_code, _Head, _was_refused

REFUSED = b"OCI runtime exec failed: exec failed: unable to start container process: "
INSIDE = [
    b'exec: "nope": executable file not found in $PATH: unknown',
    b'exec: "./x": permission denied: unknown',
    b'exec: "./x": is a directory: unknown',
    b'exec: "./x": stat ./x: no such file or directory: unknown',
    b"exec /work/x: exec format error: unknown",
    b"exec /bin/sh: argument list too long: unknown",
    b'chdir to cwd ("/work") set in config.json failed: no such file or directory: unknown',
    b'chdir to cwd ("/work") set in config.json failed: not a directory: unknown',
    b'chdir to cwd ("/work") set in config.json failed: too many levels of symbolic links: unknown',
    b"current working directory is outside of container mount namespace root: unknown",
]
OUTSIDE = [
    b"error adding pid 7 to cgroups: failed to write 7: open cgroup.procs: no such file or directory: unknown",
    b"resource temporarily unavailable: unknown",
    b"error starting setns process: fork/exec /proc/self/exe: cannot allocate memory: unknown",
    b"mount /proc/self/fd/7: permission denied: unknown",
    b"task " + b"2a" * 32 + b" not found: not found",
]


@pytest.mark.parametrize("said", INSIDE)
def test_reasons_that_lie_in_the_command_or_in_the_workdir(said: bytes) -> None:
    assert COMMANDS_FAULT.search(REFUSED + said)


@pytest.mark.parametrize("said", OUTSIDE)
def test_reasons_that_do_not(said: bytes) -> None:
    assert not COMMANDS_FAULT.search(REFUSED + said)


@pytest.mark.parametrize(
    ("state", "text", "refused"),
    [
        ({"Pid": 0, "ExitCode": 126}, REFUSED, True),
        ({"Pid": 0, "ExitCode": 127}, b"Error: runc: nope", True),
        ({"Pid": 0, "ExitCode": 125}, b"Error: crun: nope", True),
        ({"Pid": 0, "ExitCode": 126}, b"task " + b"2a" * 32 + b" not found", True),
        ({"Pid": 0, "ExitCode": 126}, b"task 2 not found", False),
        ({"Pid": 7, "ExitCode": 126}, REFUSED, False),  # a command that says what the engine says
        ({"Pid": 0, "ExitCode": 0}, REFUSED, False),  # the same in Podman, which knows no process id by now
        ({"Pid": 0, "ExitCode": 1}, b"Error: runc: executable file not found", False),
        ({"Pid": 0, "ExitCode": 126}, b"anything", False),
        ({"Pid": 0, "ExitCode": None}, REFUSED, False),
    ],
)
def test_what_is_a_refusal(state: dict[str, Any], text: bytes, refused: bool) -> None:
    assert _was_refused(state, text) is refused


@pytest.mark.parametrize(
    ("state", "text", "code"),
    [
        ({"Pid": 0, "ExitCode": 126}, REFUSED + INSIDE[0], 127),
        ({"Pid": 0, "ExitCode": 125}, REFUSED + INSIDE[1], 126),
        ({"Pid": 0, "ExitCode": 1}, REFUSED + INSIDE[0], 1),
        ({"Pid": 7, "ExitCode": 3}, b"", 3),
        ({"Pid": 7, "ExitCode": None}, b"", 137),
    ],
)
def test_exit_codes_are_a_shells(state: dict[str, Any], text: bytes, code: int) -> None:
    assert _exit_code(state, text) == code


def test_what_reads_like_a_refusal_is_held_back_until_it_is_known_what_it_is() -> None:
    passed: list[bytes] = []
    head = _Head(passed.append)
    head(REFUSED)
    head(b"more of it\n")
    assert passed == []
    head.release()
    head(b"later")
    assert passed == [REFUSED + b"more of it\n", b"later"]


def test_what_is_too_long_for_a_refusal_is_passed_on() -> None:
    passed: list[bytes] = []
    head = _Head(passed.append)
    head(REFUSED)
    head(b"x" * 5000)
    head(b"later")
    assert passed == [REFUSED, b"x" * 5000, b"later"]


def test_what_does_not_begin_so_is_passed_on_at_once() -> None:
    passed: list[bytes] = []
    head = _Head(passed.append)
    head(b"hello\n")
    head(REFUSED)
    assert passed == [b"hello\n", REFUSED]
