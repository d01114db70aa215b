"""Whether the scenario's verification command says yes. What it needs arrives only now, after the agent is dead."""

from __future__ import annotations

from pathlib import PurePosixPath

from pytest_specbench.core.errors import InfrastructureError, ScenarioError
from pytest_specbench.core.records import CheckResult
from pytest_specbench.core.status import Cause
from pytest_specbench.sandboxes.archive import Entry, pack
from pytest_specbench.sandboxes.base import ExecResult, Sandbox
from pytest_specbench.scenarios.model import Scenario, Verification
from pytest_specbench.scenarios.tree import list_tree
from pytest_specbench.verifiers.base import VerificationContext
from pytest_specbench.verifiers.display import shown

CANNOT_START = (126, 127)
"""Exit statuses by which a shell says that a command cannot be started."""
SIGNALLED = range(129, 193)
"""Exit statuses by which a shell says that a signal ended a command."""

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
    """Runs the verification command by `sh -c` in the workdir; exit status 0 is yes, and all output is kept."""

    def applies(self, scenario: Scenario) -> bool:
        return scenario.verification is not None

    def verify(self, context: VerificationContext) -> list[CheckResult]:
        verification = context.scenario.verification
        if verification is None:
            return []
        if verification.files is not None:
            _bring(context, verification, verification.files)
        context.write(f"$ {verification.command.rstrip()}\n".encode())
        result = context.sandbox.exec(
            ["sh", "-c", verification.command], timeout_sec=context.remaining(), on_output=context.write
        )
        context.write(
            f"\nexit status: {'none, killed at the deadline' if result.timed_out else result.exit_code}\n".encode()
        )
        return [_judge(verification, result)]


def _bring(context: VerificationContext, verification: Verification, files: str) -> None:
    """Put the files where the agent has nothing left."""
    try:
        tree = list_tree(context.scenario_folder, files)
        content = {file.path: Entry(file.source.read_bytes(), 0o755 if file.executable else 0o644) for file in tree}
    except (OSError, ScenarioError) as error:
        message = f"cannot read the verification files {files!r}: {error}"
        raise InfrastructureError(message, cause=Cause.VERIFIER_CRASHED) from error
    target = PurePosixPath(verification.target)
    doomed = [target] if target.parts else [PurePosixPath(name) for name in sorted(content)]
    for path in doomed:
        _clear(context.sandbox, path, context.remaining())
    context.sandbox.put(pack(content), verification.target)


def _clear(sandbox: Sandbox, path: PurePosixPath, timeout_sec: float) -> None:
    result = sandbox.exec(["sh", "-c", _CLEAR, "sh", *path.parts], timeout_sec=timeout_sec)
    if result.timed_out:
        raise InfrastructureError(f"removing {path} took too long", cause=Cause.VERIFIER_TIMEOUT)
    if result.exit_code:
        detail = shown(result.output.decode("utf-8", "replace").strip())
        raise InfrastructureError(
            f"cannot remove what the agent left at {path}: {detail}", cause=Cause.VERIFIER_CRASHED
        )


def _judge(verification: Verification, result: ExecResult) -> CheckResult:
    command = shown(verification.command.strip(), limit=200)
    if result.timed_out or result.exit_code is None:
        raise InfrastructureError(
            f"the verification command was still running at its deadline: {command}", cause=Cause.VERIFIER_TIMEOUT
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
            hint="see post-test.txt of the trial",
        )
    name = f"command {command}"
    if code == 0:
        return CheckResult(name=name, passed=True)
    said = f"The command exited with status {code}" + _last_words(result.output)
    return CheckResult(name=name, passed=False, cause=Cause.VERIFIER_SAID_NO, problems=(said,))


def _last_words(output: bytes) -> str:
    lines = [line for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return f"; its last line: {shown(lines[-1].strip(), limit=200)}" if lines else " and said nothing."
