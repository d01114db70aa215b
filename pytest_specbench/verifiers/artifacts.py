"""Whether the files that a scenario asks for are there and pass their checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_specbench.core.errors import InfrastructureError, UsageError
from pytest_specbench.core.records import CheckResult
from pytest_specbench.core.status import Cause
from pytest_specbench.core.text import counted
from pytest_specbench.sandboxes.base import SpoiledError
from pytest_specbench.scenarios.model import Scenario, SuccessArtifact
from pytest_specbench.verifiers import CHECKS
from pytest_specbench.verifiers.base import VerificationContext
from pytest_specbench.verifiers.display import shown
from pytest_specbench.verifiers.keep import keep

MAX_BYTES = 20_000_000
"""What the matches of one artifact may hold together."""
MAX_CHECKED_BYTES = 1_000_000
"""The same where a named check reads them, so that sheer length does not make a check miss the verifier's deadline."""
MAX_PROBLEMS = 50
"""Problems that are told of one artifact."""
FOLDER = "artifacts"
"""Folder inside of the verifier's folder that keeps a copy of every file that was looked at."""

type Check = Callable[[str], list[str]]


@dataclass(frozen=True)
class ArtifactVerifier:
    """Fetches the success artifacts, keeps a copy of each, and runs their named checks on every match."""

    max_bytes: int = MAX_BYTES

    def applies(self, scenario: Scenario) -> bool:
        return bool(scenario.success_artifacts)

    def verify(self, context: VerificationContext) -> list[CheckResult]:
        checks = {artifact.check: _load(artifact.check) for artifact in context.scenario.success_artifacts}
        kept: set[str] = set()
        results = []
        for artifact in context.scenario.success_artifacts:
            context.remaining()
            result, files = self._result(context, artifact, checks[artifact.check], kept)
            context.write(_account(result, files).encode("utf-8", "backslashreplace"))
            results.append(result)
        return results

    def _result(
        self, context: VerificationContext, artifact: SuccessArtifact, check: Check | None, kept: set[str]
    ) -> tuple[CheckResult, Mapping[str, bytes]]:
        """The result, and the files that were looked at: none where the agent made them so that they cannot be."""
        limit = self.max_bytes if check is None else min(self.max_bytes, MAX_CHECKED_BYTES)
        try:
            files = context.sandbox.fetch([artifact.path], max_bytes=limit)
        except SpoiledError as error:
            problem = f"What matches {shown(artifact.path)} cannot be judged: {shown(error.message)}."
            return _failed(artifact, Cause.ARTIFACT_INVALID, [problem]), {}
        _keep_new(context, files, kept)
        return _judge(artifact, files, check), files


def _load(name: str | None) -> Check | None:
    if name is None:
        return None
    try:
        check: Check = CHECKS.load(name)
    except UsageError as error:
        raise InfrastructureError(str(error), cause=Cause.VERIFIER_CRASHED) from error
    return check


def _keep_new(context: VerificationContext, files: Mapping[str, bytes], kept: set[str]) -> None:
    for path in sorted(set(files) - kept):
        try:
            keep(context.folder / FOLDER, path, files[path])
        except OSError as error:
            message = f"cannot keep the artifact {shown(path)}: {error.strerror or type(error).__name__}"
            raise InfrastructureError(message, cause=Cause.VERIFIER_CRASHED) from error
        kept.add(path)


def _judge(artifact: SuccessArtifact, files: Mapping[str, bytes], check: Check | None) -> CheckResult:
    if not files:
        return _failed(artifact, Cause.ARTIFACT_MISSING, [f"No file matches {shown(artifact.path)}."])
    problems = [
        f"{shown(path)}: {shown(problem)}"
        for path in sorted(files)
        for problem in _problems_of(files[path], artifact.check, check)
    ]
    looked_at = tuple(shown(path) for path in sorted(files))
    if problems:
        return _failed(artifact, Cause.ARTIFACT_INVALID, problems, looked_at)
    return CheckResult(name=_name(artifact), passed=True, files=looked_at)


def _failed(artifact: SuccessArtifact, cause: Cause, problems: list[str], files: tuple[str, ...] = ()) -> CheckResult:
    told = problems[:MAX_PROBLEMS]
    if len(problems) > MAX_PROBLEMS:
        told.append(f"and {counted(len(problems) - MAX_PROBLEMS, 'more problem', 'more problems')}")
    return CheckResult(name=_name(artifact), passed=False, cause=cause, problems=tuple(told), files=files)


def _name(artifact: SuccessArtifact) -> str:
    return f"artifact {shown(artifact.path)}" + (f" ({shown(artifact.check)})" if artifact.check else "")


def _problems_of(content: bytes, name: str | None, check: Check | None) -> list[str]:
    if not content.strip():
        return ["The file is empty."]
    if check is None:
        return []
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return [f"The file is not UTF-8 text: byte 0x{content[error.start]:02x} at offset {error.start}."]
    try:
        problems: Any = check(text)
    except Exception as error:  # a check may be a third party's; its crash says nothing about the agent
        message = f"the check {name!r} crashed: {type(error).__name__}: {shown(str(error))}"
        raise InfrastructureError(message, cause=Cause.VERIFIER_CRASHED) from error
    if not isinstance(problems, list) or not all(isinstance(problem, str) for problem in problems):
        message = f"the check {name!r} returned {type(problems).__name__}, where a list of sentences is expected"
        raise InfrastructureError(message, cause=Cause.VERIFIER_CRASHED)
    return problems


def _account(result: CheckResult, files: Mapping[str, bytes]) -> str:
    lines = [f"{'pass' if result.passed else 'FAIL'}  {result.name}"]
    lines += [f"      looked at {shown(path)} ({len(files[path])} bytes)" for path in sorted(files)]
    lines += [f"      {problem}" for problem in result.problems]
    return "\n".join(lines) + "\n"
