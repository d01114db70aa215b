"""The files of a whole run: report.json, report.md, run_metadata.json, summary.json and the link `latest`."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pytest_specbench import __version__
from pytest_specbench.core.redact import Redactor
from pytest_specbench.core.settings import Settings
from pytest_specbench.recording.files import update_latest, write_bytes, write_json
from pytest_specbench.recording.repository import git_commit
from pytest_specbench.reporting.markdown import render_markdown
from pytest_specbench.reporting.report import Report, report_json

FILES = ("report", "summary", "run_metadata")
PACKAGES = ("pytest", "pytest-xdist", "docker", "terminal-bench", "litellm", "pydantic", "psutil", "specify-cli")
"""Whose versions a run's metadata holds."""


def write_report(report: Report, settings: Settings, *, started_at: datetime, redactor: Redactor) -> None:
    """Write the run's files; `latest` points at the run when everything is there."""
    if settings.resume is not None:
        _set_aside(settings.run_folder)
    _write_files(report, settings, started_at, redactor)
    ignore_artifacts(settings.output)
    update_latest(settings.output, settings.run_folder)


def correct_report(report: Report, settings: Settings, *, started_at: datetime, redactor: Redactor) -> None:
    """Write the run's files once more after they could not all be written, or remove them where that fails again, as on
    a full disk: none is left that says what the run does not end with.
    """
    try:
        _write_files(report, settings, started_at, redactor)
    except (OSError, ValueError):
        for name in (*(f"{name}.json" for name in FILES), "report.md"):
            with suppress(OSError):
                (settings.run_folder / name).unlink(missing_ok=True)


def _write_files(report: Report, settings: Settings, started_at: datetime, redactor: Redactor) -> None:
    folder = settings.run_folder
    write_json(folder / "report.json", redactor.json(report_json(report)))
    write_json(folder / "summary.json", redactor.json(_summary(report)))
    write_json(folder / "run_metadata.json", redactor.json(_metadata(report, settings, started_at)))
    write_bytes(folder / "report.md", render_markdown(report, redactor.text).encode("utf-8", "backslashreplace"))


def ignore_artifacts(output: Path) -> None:
    """Keep git off the artifact root."""
    ignore = output / ".gitignore"
    if not ignore.exists():
        write_bytes(ignore, b"# Artifacts of pytest-specbench; what is to last goes into the baselines.\n*\n")


def _set_aside(folder: Path) -> None:
    """Keep the files of the earlier part of a run that was resumed, as `report.part-01.json` and so on."""
    number = 1
    while any((folder / f"{name}.part-{number:02d}.json").exists() for name in FILES):
        number += 1
    for name in FILES:
        if (folder / f"{name}.json").is_file():
            write_bytes(folder / f"{name}.part-{number:02d}.json", (folder / f"{name}.json").read_bytes())


def _summary(report: Report) -> dict[str, Any]:
    """The run in a few values, the same form whatever ran."""
    return {
        "schema_version": report.schema_version,
        "run_id": str(report.run_id),
        "exit_code": report.exit_code,
        "exit_reason": report.exit_reason,
        "interrupted": report.interrupted,
        **report.summary.model_dump(),
        "statuses": {scenario.scenario_id: scenario.status for scenario in report.scenarios},
    }


def _metadata(report: Report, settings: Settings, started_at: datetime) -> dict[str, Any]:
    """What one needs to know in order to run it again."""
    said = {name: value for name, value in asdict(settings).items() if name not in {"argv", "sources", "held"}}
    # Where a trusted ref is laid out is no place that anybody will find again.
    asked = {
        name: _plain(settings.under_test(value) if isinstance(value, Path) else value) for name, value in said.items()
    }
    return {
        "schema_version": "1",
        "run_id": str(report.run_id),
        "started_at": started_at.isoformat(),
        "ended_at": report.generated_at.isoformat(),
        "duration_ms": round((report.generated_at - started_at).total_seconds() * 1000),
        "argv": list(settings.argv),
        "commit_sha": git_commit(settings.work_tree),
        "specbench_version": __version__,
        "python": platform.python_version(),
        "platform": sys.platform,
        "versions": versions(PACKAGES),
        "settings": asked,
        "trusted_commit": None if settings.held is None else settings.held.commit,
        "sources": settings.sources,
        "scenarios": [scenario.scenario_id for scenario in report.scenarios],
    }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, (Path, date)) else list(value) if isinstance(value, tuple) else value


def versions(packages: Sequence[str]) -> Mapping[str, str | None]:
    """Installed version of each package; null where it is not installed."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
