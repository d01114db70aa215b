"""Whether the scenario's verification command says yes. What it needs arrives only now, after the agent is dead."""

from __future__ import annotations

from pathlib import PurePosixPath

from pytest_specbench.core.errors import InfrastructureError, ScenarioError
from pytest_specbench.core.records import CheckResult
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.base import ExecResult, ShellProver, SpoiledError
from pytest_specbench.scenarios.model import Scenario, Verification
from pytest_specbench.scenarios.tree import list_tree, pack
from pytest_specbench.verifiers.base import VerificationContext
from pytest_specbench.verifiers.display import shown

CANNOT_START = (126, 127)
"""Exit statuses by which a shell says that a command cannot be started."""
SIGNALLED = range(129, 193)
"""Exit statuses by which a shell says that a signal ended a command."""
ALIVE = 7
"""Exit status by which the sandbox's shell shows that it still works."""
PREPARING_SHARE = 0.5
"""How much of the time that is left looking at the shell or removing one thing may take."""
WRAP = (
    "see post-test.txt of the trial; a call of a program that the agent was to build must not decide this: "
    "wrap it, as in `timeout 60 ./tool || exit 1`"
)

_ALIVE = f"mktemp -d >/dev/null 2>&1; exit {ALIVE}"
"""Runs everything that a command is started by."""
_AT_A_NEW_HOME = """\
HOME=$(mktemp -d 2>/dev/null)
case $HOME in /*) ;; *) HOME=/nonexistent ;; esac
export HOME
exec sh -c "$1"
"""
"""Runs its argument at a new home; where none can be made there is no configuration either."""
_CLEAR = """\
chmod u+rwx . 2>/dev/null
path=.
while [ $# -gt 1 ]; do
    path="$path/$1"; shift
    if [ -L "$path" ] || { [ -e "$path" ] && [ ! -d "$path" ]; }; then rm -f -- "$path" || exit 1; fi
done
path="$path/$1"
if [ ! -L "$path" ]; then chmod -R u+rwx -- "$path" 2>/dev/null; fi
rm -rf -- "$path"
[ ! -e "$path" ] && [ ! -L "$path" ]
"""
"""Removes the path whose parts are the arguments; where the agent made one of them a link, it is not followed."""


class CommandVerifier:
    """Runs the verification command by `sh -c` in the workdir; exit status 0 is yes, and all output is kept.

    It gets a new, empty HOME, so that what the agent left in its own decides nothing.
    """

    def applies(self, scenario: Scenario) -> bool:
        return scenario.verification is not None

    def verify(self, context: VerificationContext) -> list[CheckResult]:
        verification = context.scenario.verification
        if verification is None:
            return []
        # A shell that is what it was needs no look before, which takes as long as most commands do: where it cannot
        # even be started, the agent spoiled the workdir.
        intact = isinstance(context.sandbox, ShellProver) and context.sandbox.shell_is_intact()
        spoiled = None if intact else _spoiled(context)
        if spoiled is None and verification.files is not None:
            spoiled = _bring(context, verification, verification.files, intact=intact)
        if spoiled is None:
            result = _run(context, verification)
            if result.started or not intact:
                return [_judge(verification, result)]
            spoiled = f"The agent left a workdir in which no command runs{_last_words(result.output)}"
        context.write(f"FAIL  {spoiled}\n".encode())
        return [_said_no(verification, spoiled)]


def _run(context: VerificationContext, verification: Verification) -> ExecResult:
    context.write(f"$ {verification.command.rstrip()}\n".encode())
    result = context.sandbox.exec(
        ["sh", "-c", _AT_A_NEW_HOME, "sh", verification.command],
        timeout_sec=context.remaining(),
        environment={"PYTHONNOUSERSITE": "1", "GIT_CONFIG_GLOBAL": "/dev/null"},
        on_output=context.write,
    )
    ended = "none, killed at the deadline" if result.timed_out else result.exit_code
    context.write(f"\nexit status: {ended}\n".encode())
    return result


def _spoiled(context: VerificationContext) -> str | None:
    """What the agent did to the shell or to the workdir so that no command runs there; None when all is well."""
    result = context.sandbox.exec(["sh", "-c", _ALIVE], timeout_sec=context.remaining() * PREPARING_SHARE)
    if result.exit_code == ALIVE:
        return None
    ended = "was killed at its deadline" if result.timed_out else f"ended with exit status {result.exit_code}"
    return f"The agent left a sandbox in which no command runs: `exit {ALIVE}` {ended}{_last_words(result.output)}"


def _bring(context: VerificationContext, verification: Verification, files: str, *, intact: bool) -> str | None:
    """Put the files where the agent has nothing left; what it left that cannot be removed is told, as a problem."""
    try:
        archive = pack(context.scenario_folder, files)
        names = [file.path for file in list_tree(context.scenario_folder, files)]
    except (OSError, ScenarioError) as error:
        message = f"cannot read the verification files {files!r}: {error}"
        raise InfrastructureError(message, cause=Cause.VERIFIER_CRASHED) from error
    target = PurePosixPath(verification.target)
    for path in [target] if target.parts else [PurePosixPath(name) for name in names]:
        problem = _clear(context, path, intact=intact)
        if problem is not None:
            return problem
    try:
        context.sandbox.put(archive, verification.target)
    except SpoiledError as error:
        return f"The agent left something at {shown(verification.target)} that is in the way: {shown(error.message)}."
    return None


def _clear(context: VerificationContext, path: PurePosixPath, *, intact: bool) -> str | None:
    result = context.sandbox.exec(
        ["sh", "-c", _CLEAR, "sh", *path.parts], timeout_sec=context.remaining() * PREPARING_SHARE
    )
    if result.exit_code == 0:
        return None
    if intact and result.started and result.exit_code in CANNOT_START:
        raise InfrastructureError(
            f"no shell could be started to remove {shown(str(path))}{_last_words(result.output)}",
            cause=Cause.VERIFIER_CRASHED,
        )
    why = "it took too long" if result.timed_out else f"exit status {result.exit_code}"
    return f"What the agent left at {shown(str(path))} cannot be removed: {why}{_last_words(result.output)}"


def _judge(verification: Verification, result: ExecResult) -> CheckResult:
    command = shown(verification.command.strip(), limit=200)
    if result.timed_out or result.exit_code is None:
        raise InfrastructureError(
            f"the verification command was still running at its deadline: {command}",
            cause=Cause.VERIFIER_TIMEOUT,
            hint=WRAP,
        )
    code = result.exit_code
    if code in CANNOT_START or code in SIGNALLED or code < 0:
        why = (
            "could not be started"
            if code in CANNOT_START
            else f"was ended by signal {code - 128 if code > 0 else -code}"
        )
        raise InfrastructureError(
            f"the verification command {why} (exit status {code}): {command}",
            cause=Cause.VERIFIER_CRASHED,
            hint=WRAP,
        )
    if code == 0:
        return CheckResult(name=f"command {command}", passed=True)
    return _said_no(verification, f"The command exited with status {code}" + _last_words(result.output))


def _said_no(verification: Verification, problem: str) -> CheckResult:
    name = f"command {shown(verification.command.strip(), limit=200)}"
    return CheckResult(name=name, passed=False, cause=Cause.VERIFIER_SAID_NO, problems=(problem,))


def _last_words(output: bytes) -> str:
    lines = [line for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return f"; its last line: {shown(lines[-1].strip(), limit=200)}" if lines else " and said nothing."
