"""`begun.json`: what a run was asked to do, written before anything runs, so that it can be finished after a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from pytest_specbench.core.errors import UsageError
from pytest_specbench.core.model import Record
from pytest_specbench.core.redact import Redactor, without_credentials
from pytest_specbench.core.settings import Settings

BEGUN = "begun.json"
NEWEST = "latest"
SHORTEST = 8
"""Characters of a run id that tell a run."""
LISTED = 5
FREE = {
    "root", "work_tree", "held", "run_id", "run_folder", "argv", "sources", "output", "format", "keep", "resume",
    "sandbox_reason", "max_cost_usd",
}  # fmt: skip
"""Settings that may differ between the parts of a run: they change neither what runs nor how it is judged. The cost cap
has a rule of its own.
"""


class RunStart(Record):
    """The start of a run, and of each part that resumed it."""

    schema_version: Literal["1"] = "1"
    """Version of this record's form."""
    run_id: str
    """UUID of the run."""
    parts: tuple[AwareDatetime, ...] = Field(min_length=1)
    """When each part began: the run itself, and whatever resumed it."""
    specbench_version: str
    """Version of this tool."""
    commit_sha: str | None = None
    """The commit that was checked out in pytest's rootdir; null: none, or no repository."""
    asked: dict[str, Any]
    """Every setting that must be the same when the run is resumed, without secrets."""
    max_cost_usd: float | None
    """The cost cap of the last part; null: none, and nobody counted what was spent."""
    selected: tuple[str, ...]
    """Node ids of the scenarios that are to run."""
    sandbox: tuple[str, str] | None
    """The sandbox that was chosen, and why; null while that is left to workers."""
    owner: dict[str, str] | None
    """The process whose run it is: machine, boot, process id, its start; null when it has ended in order."""


def asked_of(settings: Settings, redactor: Redactor) -> dict[str, Any]:
    """The settings as a run's start holds them; paths in the project are relative to it."""
    plain = {name: _plain(value, settings) for name, value in asdict(settings).items() if name not in FREE}
    found: dict[str, Any] = redactor.json(plain)
    return found


def _plain(value: Any, settings: Settings) -> Any:
    if isinstance(value, Path):
        path, top = settings.under_test(value), settings.work_tree
        return path.relative_to(top).as_posix() if path.is_relative_to(top) else str(path)
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def differing(start: RunStart, asked: Mapping[str, Any], version: str, max_cost_usd: float | None) -> list[str]:
    """What is not as it was when the run began, one phrase each."""
    found = [
        f"{name}: {start.asked.get(name)!r} then, {asked.get(name)!r} now"
        for name in sorted({*start.asked, *asked})
        if start.asked.get(name) != asked.get(name)
    ]
    if start.specbench_version != version:
        found.append(f"version of this tool: {start.specbench_version} then, {version} now")
    if start.max_cost_usd is None and max_cost_usd is not None:
        found.append(f"max_cost_usd: none then, {max_cost_usd:g} now, and what was spent then was not counted")
    return found


def read_start(folder: Path) -> RunStart:
    """What a run says of its start. Raises UsageError when it says nothing that can be believed."""
    try:
        return RunStart.model_validate_json((folder / BEGUN).read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"{folder} does not say what its run was asked to do: {type(error).__name__}",
            where=str(folder / BEGUN),
            expected="the record that a run writes before anything runs",
            hint="start a new run",
        ) from None


def find_run(output: Path, reference: str, near: Path) -> tuple[str, str]:
    """Run id and folder name of the run that is meant: `latest`, an id or its beginning, the name or path of a folder.

    `output` is the artifact root, `near` what a path is relative to. Raises UsageError that lists the newest runs.
    """
    known = _known(output / "runs")
    if reference == NEWEST:
        found = known[:1]
    else:
        path = (near / reference).resolve()
        found = [run for run in known if run[0].name == reference or run[0].resolve() == path]
        if not found and len(reference) >= SHORTEST:
            found = [run for run in known if run[1].run_id.startswith(reference.lower())]
    if len(found) == 1:
        return found[0][1].run_id, found[0][0].name
    several = f"{len(found)} runs" if found else "no run"
    listed = [f"{folder.name} ({_state(folder, start)})" for folder, start in (found or known)[:LISTED]]
    raise UsageError(
        f"--specbench-resume: {several} in {output / 'runs'} can be meant by {reference!r}",
        expected=f"{NEWEST}, the id of a run or at least {SHORTEST} characters of its beginning, or its folder; "
        + (f"the newest: {', '.join(listed)}" if listed else "there is no run that could be resumed"),
    )


def _known(runs: Path) -> list[tuple[Path, RunStart]]:
    """Every run that says how it began, the newest first."""
    found: list[tuple[Path, RunStart]] = []
    for folder in runs.iterdir() if runs.is_dir() else ():
        try:
            found.append((folder, read_start(folder)))
        except UsageError:
            continue
    return sorted(found, key=lambda run: (run[1].parts[0], run[0].name), reverse=True)


def _state(folder: Path, start: RunStart) -> str:
    began = start.parts[0].astimezone(UTC)
    ended = "it has a report" if (folder / "report.json").is_file() else "it left no report"
    return f"began {began:%Y-%m-%d %H:%M:%S} UTC, {ended}"


def now() -> datetime:
    """The time of day, UTC."""
    return datetime.now(UTC)
