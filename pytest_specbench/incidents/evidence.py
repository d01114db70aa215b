"""What a trial left, as a ticket shows it: the ends of its logs, and the files that are attached or linked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.redact import Redactor
from pytest_specbench.incidents.message import Attachment
from pytest_specbench.reporting.markdown import code
from pytest_specbench.reporting.text import cut, printable_lines

LOG_LINES = 30
"""How much of the end of a log is shown."""
LINE_WIDTH = 300
_TAIL_BYTES = 65_536
_SAFE_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]_/~%+-]{1,500}")


def post_test_tail(run: BenchmarkRun, folder: Path, redactor: Redactor) -> list[str]:
    """The last lines of the verifier's output; none where there is none."""
    if run.artifacts.post_test is None:
        return []
    return last_lines(redactor.text(_end_of(folder, run.artifacts.post_test).decode("utf-8", "replace")))


def command_log(run: BenchmarkRun, folder: Path, redactor: Redactor) -> list[str]:
    """The last lines of what the agent did, from the event log of the decisive trial; none where there is none."""
    trial = _trial(run)
    if trial is None:
        return []
    lines: list[str] = []
    for line in _end_of(folder, f"{trial}/raw/events.jsonl").decode("utf-8", "replace").split("\n"):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue  # the first line of the part that was read is seldom whole
        if isinstance(event, dict):
            lines += _event_lines(event)
    return last_lines(redactor.text("\n".join(lines)))


def last_lines(text: str) -> list[str]:
    """The last lines of a text, none of them long."""
    return [cut(line, LINE_WIDTH) for line in printable_lines(text)[-LOG_LINES:]]


def attachments(run: BenchmarkRun, folder: Path, output: Path, environ: Mapping[str, str]) -> tuple[Attachment, ...]:
    """The files of the decisive trial that are there: the recording, what the agent did, the verifier's output."""
    trial, found = _trial(run), []
    if trial is None or not folder.is_relative_to(output):
        return ()
    link = ci_link(environ)
    for name, relative in (
        ("agent.cast", f"{trial}/agent.cast"),
        ("events.jsonl", f"{trial}/raw/events.jsonl"),
        ("post-test.txt", f"{trial}/post-test.txt"),
    ):
        if _regular(folder, relative) is None:
            continue
        path = f"{folder.relative_to(output).as_posix()}/{relative}"
        where = f" of [the CI job]({link})" if link else ""
        found.append(
            Attachment(name=name, path=path, label=code(name), otherwise=f"{code(path)} in the artifacts{where}")
        )
    return tuple(found)


def ci_link(environ: Mapping[str, str]) -> str | None:
    """Where the artifacts of this CI job are found, as a URL that is safe in Markdown; None outside of CI."""
    if environ.get("GITHUB_RUN_ID") and environ.get("GITHUB_REPOSITORY"):
        server = environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
        named = f"{quote(environ['GITHUB_REPOSITORY'])}/actions/runs/{quote(environ['GITHUB_RUN_ID'], safe='')}"
        return safe_url(f"{server}/{named}")
    return safe_url(environ.get("CI_JOB_URL"))


def safe_url(text: object) -> str | None:
    """A URL that is nothing but a URL wherever it is written; None for everything else."""
    return text if isinstance(text, str) and _SAFE_URL.fullmatch(text) else None


def read_artifact(output: Path, path: str, limit: int, redactor: Redactor) -> bytes | None:
    """The content of an artifact without secrets; None when it is gone, leads elsewhere or has more bytes."""
    found = _regular(output, path)
    try:
        if found is None or found.stat().st_size > limit:
            return None
        with found.open("rb") as file:
            content = file.read(limit + 1)
    except OSError:
        return None
    return None if len(content) > limit else redactor.bytes(content)


def _trial(run: BenchmarkRun) -> str | None:
    """The folder of the decisive trial, relative to the run folder."""
    known = run.artifacts.run_metadata or run.artifacts.agent_cast or run.artifacts.post_test
    return PurePosixPath(known).parent.as_posix() if known else None


def _regular(folder: Path, relative: str) -> Path | None:
    """The path of a regular file below a folder; None for everything else, such as a link that leads out of it."""
    path = folder / relative
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
        return path if inside and path.is_file() and not path.is_symlink() else None
    except (OSError, RuntimeError, ValueError):
        return None


def _end_of(folder: Path, relative: str) -> bytes:
    path = _regular(folder, relative)
    if path is None:
        return b""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES)
    except OSError:
        return b""


def _event_lines(event: Mapping[str, Any]) -> list[str]:
    """What a person wants to read of an event: commands and what came of them, and what else the trial noted."""
    kind, details = event.get("event"), event.get("details")
    known = details if isinstance(details, dict) else {}
    if kind == "command":
        return _marked("$ ", event.get("command"))
    if kind == "command_ended":
        return [f"  exit status {known.get('exit_code')}"]
    if kind == "observation":
        return _marked("  ", event.get("content"))
    if kind == "message":
        return _marked(f"{event.get('source')}: ", event.get("message"))
    text = json.dumps(known, ensure_ascii=False) if known else str(event.get("cause", ""))
    return [f"[{kind}] {text}".rstrip(" ")]


def _marked(mark: str, text: object) -> list[str]:
    first, *rest = str(text).rstrip("\n").split("\n")
    return [mark + first, *(" " * len(mark) + line for line in rest)]
