"""A run folder as it is found: its benchmark runs, and whether what they name is still there. Trusts nothing in it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from pytest_specbench.core.approval.audit import comparison_key
from pytest_specbench.core.records import BenchmarkRun, Scalar
from pytest_specbench.core.status import Cause, Outcome

RUNS = "runs"
"""Folder of the run folders, below the artifact root."""
RECORD = "run.json"
REPORT = "report.json"
ATTEMPTS = "rerun-"
"""How the folders of further attempts begin, inside of the scenario's."""
TRAJECTORY = "atif/trajectory.json"
TRIAL_ARTIFACTS = ("run_metadata.json", "summary.json", TRAJECTORY, "agent.cast")
"""What every trial leaves that says something about the agent, relative to its folder."""
MAX_BYTES = 50_000_000
NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
"""How run folders are called: time and the beginning of the run's id."""


class RecordError(Exception):
    """Why a record cannot be used, in a sentence that names the file."""


@dataclass(frozen=True)
class Row:
    """One benchmark run (one attempt at a scenario) as the index holds it. Times are microseconds since 1970, UTC."""

    folder: str
    """Name of the run folder."""
    path: str
    """The record, relative to the run folder."""
    scenario_id: str
    attempt: int
    """0 for the first attempt, then 1, 2, ..."""
    counts: int
    """1 for the last attempt, whose verdict is the scenario's."""
    executed_at: int
    problem: str | None = None
    """Why the record cannot be used; what stands below is then null."""
    sha256: str | None = None
    run_id: str | None = None
    status: str | None = None
    cause: str | None = None
    exit_code: int | None = None
    dataset: str | None = None
    environment: str | None = None
    """Hash over instrument and host class."""
    instrument: str | None = None
    subject: str | None = None
    host_class: str | None = None
    clean: int | None = None
    commit_sha: str | None = None
    owner_rotation: str | None = None
    runtime_ms: float | None = None
    peak_memory_mb: float | None = None
    success: int | None = None
    runtime_percent: float | None = None
    memory_percent: float | None = None
    baseline_id: str | None = None
    acknowledgement: str | None = None


def read_rows(folder: Path) -> list[Row]:
    """What the index holds of a run folder; a record that cannot be used is a row that says why."""
    rows: list[Row] = []
    for scenario_id, attempts in _attempts(folder):
        last = max(attempts)
        for number, path in sorted(attempts.items()):
            rows.append(_row(folder, path, scenario_id, number, counts=int(number == last)))
    return rows


def record_paths(folder: Path) -> list[Path]:
    """The records of all attempts in a run folder, in the order of scenarios and attempts."""
    return [path for _, attempts in _attempts(folder) for _, path in sorted(attempts.items())]


def _attempts(folder: Path) -> Iterator[tuple[str, dict[int, Path]]]:
    """Scenario id -> number of the attempt -> its record."""
    for name in sorted(_folders(folder)):
        found = {}
        if os.path.lexists(folder / name / RECORD):
            found[0] = folder / name / RECORD
        for inner in _folders(folder / name):
            number = inner.removeprefix(ATTEMPTS)
            if inner.startswith(ATTEMPTS) and number.isascii() and number.isdigit():
                path = folder / name / inner / RECORD
                if os.path.lexists(path):
                    found[int(number)] = path
        if found:
            yield name, found


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if is_text(entry.name) and entry.is_dir(follow_symlinks=False)]


def is_text(name: str) -> bool:
    """Whether a file name can be written down: no run of ours makes others, and no index or report can hold them."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_record(path: Path) -> tuple[BenchmarkRun, str]:
    """A benchmark run and the sha256 of its file. Raises RecordError."""
    data = read_file(path)
    try:
        run = BenchmarkRun.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(f"{path}: not a valid record: {first_of(error)}") from None
    return run, hashlib.sha256(data).hexdigest()


def read_file(path: Path) -> bytes:
    """The bytes of a regular file of at most 50 MB. Raises RecordError."""
    try:
        if path.is_symlink() or not path.is_file():
            raise RecordError(f"{path}: {'it is no regular file' if os.path.lexists(path) else 'it is missing'}")
        if path.stat().st_size > MAX_BYTES:
            raise RecordError(f"{path}: it is larger than {MAX_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from None


def first_of(error: ValidationError) -> str:
    """The first thing that is wrong with a record, and how many more there are."""
    errors = error.errors(include_url=False, include_input=False)
    place = ".".join(map(str, errors[0]["loc"]))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{place}: {errors[0]['msg']}{more}" if place else f"{errors[0]['msg']}{more}"


def misplaced(folder: Path, path: Path, run: BenchmarkRun) -> str:
    """Why a record does not belong where it lies; empty when it does."""
    place = path.parent.relative_to(folder).as_posix()
    if run.artifacts_path != place:
        return f"{path}: it calls itself the record of {run.artifacts_path!r}"
    if run.scenario_id != place.partition("/")[0]:
        return f"{path}: it calls itself a run of {run.scenario_id!r}"
    return ""


def artifact_problems(folder: Path, run: BenchmarkRun) -> list[str]:
    """Every artifact that the record names and that is missing, altered or outside of the folder, and every one that it
    has to name and does not, a sentence each.
    """
    problems = []
    for name, expected in run.artifact_hashes.items():
        relative = f"{run.artifacts_path}/{name}"
        found = _hash_inside(folder, relative)
        if found is None:
            problems.append(f"{folder / relative}: the artifact is missing")
        elif found != expected:
            problems.append(f"{folder / relative}: the artifact is not what the record names: its hash differs")
    named = [path for path in run.artifacts.model_dump().values() if path is not None]
    problems += [
        f"{folder / run.artifacts_path / RECORD}: it names {path!r}, which is none of the artifacts that it hashed"
        for path in named
        if _own(run, path) not in run.artifact_hashes
    ]
    problems += [
        f"{folder / run.artifacts_path / RECORD}: it has no hash of {path!r}, which every trial leaves"
        for path in _owed(run)
        if _own(run, path) not in run.artifact_hashes
    ]
    return problems


def _own(run: BenchmarkRun, path: str) -> str | None:
    """A path that is relative to the run folder, relative to the scenario's; None for one that is not below that."""
    inside = path.removeprefix(f"{run.artifacts_path}/")
    return None if inside == path or inside.startswith("/") or ".." in PurePosixPath(inside).parts else inside


def _owed(run: BenchmarkRun) -> Iterator[str]:
    """What the counted trials left, by what became of them."""
    for trial in run.trials:
        if trial.repeated or trial.outcome is Outcome.INFRASTRUCTURE:
            continue  # nothing counts of it, and a full disk may have kept it from writing anything
        for name in TRIAL_ARTIFACTS:
            # The agent's steps may have been such that no trajectory could be made of them.
            if name != TRAJECTORY or trial.cause is not Cause.TRAJECTORY_INVALID:
                yield f"{trial.artifacts_path}/{name}"


def _hash_inside(folder: Path, relative: str) -> str | None:
    """sha256 of a regular file inside of the folder; None for anything else."""
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts or "\0" in relative:
        return None
    path = folder / pure
    try:
        if path.is_symlink() or not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def run_id_of(folder: Path) -> str | None:
    """The id of a run that recorded no scenario, by its report; None where there is none."""
    try:
        content = json.loads(read_file(folder / REPORT))
    except (RecordError, ValueError, RecursionError):
        return None
    found = content.get("run_id") if isinstance(content, dict) else None
    return found if isinstance(found, str) else None


def started_at(folder: Path) -> int:
    """When a run began, by the name of its folder, else by the time of the folder; microseconds since 1970."""
    if NAME.fullmatch(folder.name):
        try:
            return micros(datetime.strptime(folder.name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))
        except ValueError:
            pass  # digits that are no time
    return folder.stat().st_mtime_ns // 1000


def micros(moment: datetime) -> int:
    """A time as microseconds since 1970."""
    return round(moment.timestamp() * 1_000_000)


def hash_of(facts: dict[str, Scalar]) -> str:
    """sha256 over facts, whatever their order."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _row(folder: Path, path: Path, scenario_id: str, attempt: int, *, counts: int) -> Row:
    relative = path.relative_to(folder).as_posix()
    try:
        run, digest = read_record(path)
        problem = misplaced(folder, path, run)
    except RecordError as error:
        problem = str(error).encode("utf-8", "backslashreplace").decode()
    if problem:
        return Row(folder.name, relative, scenario_id, attempt, counts, started_at(folder), problem=problem)
    found = run.fingerprint
    host_class = None if found is None else str(found.host.get("class"))
    measured = {name: summary.value for name, summary in run.metrics.items()}
    return Row(
        folder=folder.name,
        path=relative,
        scenario_id=scenario_id,
        attempt=attempt,
        counts=counts,
        executed_at=micros(run.executed_at),
        sha256=digest,
        run_id=str(run.run_id),
        status=run.status,
        cause=run.cause,
        exit_code=run.exit_code,
        dataset=run.dataset_version,
        environment=None if found is None else comparison_key(found, str(host_class)),
        instrument=None if found is None else hash_of(found.instrument),
        subject=None if found is None else hash_of(found.subject),
        host_class=host_class,
        clean=None if run.clean is None else int(run.clean),
        commit_sha=run.commit_sha,
        owner_rotation=run.owner_rotation,
        runtime_ms=measured.get("runtime_ms"),
        peak_memory_mb=measured.get("peak_memory_mb"),
        success=_flag(measured.get("success")),
        runtime_percent=run.comparison.runtime_percent,
        memory_percent=run.comparison.memory_percent,
        baseline_id=run.comparison.baseline_id,
        acknowledgement=run.acknowledgement,
    )


def _flag(value: float | None) -> int | None:
    return None if value is None else int(value)
