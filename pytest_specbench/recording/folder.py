"""The artifact folder of a run and of a trial: where everything lies, and that nothing is ever overwritten."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from pytest_specbench.core.errors import UsageError
from pytest_specbench.core.redact import Redactor
from pytest_specbench.recording.files import write_bytes, write_json
from pytest_specbench.recording.metadata import TrialMetadata, TrialSummary

POST_TEST_LIMIT = 256_000_000
"""Bytes of the verifier's output that are kept; what is more is counted, and the count is written at the end."""


ROOM = ("", "runs", "progress", "incidents")
"""Folders of the artifact root that are written below, and itself."""


def check_output(output: Path, root: Path) -> None:
    """Raises UsageError where the artifact root, or a folder in it, is something else than a folder, or a link by which
    what lies in the project `root` leads out of it: a repository could say by one what is written and removed on its
    user's machine. A root that was named elsewhere may lie anywhere.
    """
    for path in (output / name for name in ROOM):
        to = os.path.realpath(path)
        if os.path.lexists(path) and not path.is_dir():
            why = f"it is a link that leads to {to}, where nothing is" if path.is_symlink() else "it is no folder"
        elif path.is_relative_to(root) and not Path(to).is_relative_to(os.path.realpath(root)):
            why = f"it leads by a link to {to}, out of the project {root}"
        else:
            continue
        raise UsageError(
            f"artifacts cannot be kept in {path}: {why}",
            where=str(path),
            expected="a folder, or nothing yet",
            hint="remove the link; --specbench-output PATH or the ini specbench_output names a folder anywhere",
        )


class TrialFolder:
    """The folder `trial-01` of one trial below a scenario's; a repeated attempt gets its own (`trial-01-again`).

    The folder is made at once and must not have been there (FileExistsError); the folders inside are made when they
    are first asked for.
    """

    def __init__(self, scenario_folder: Path, index: int, *, again: bool = False) -> None:
        if index < 1:
            raise ValueError(f"trials are numbered from 1, not {index}")
        self.path = scenario_folder / f"trial-{index:02d}{'-again' if again else ''}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir()

    @property
    def run_metadata(self) -> Path:
        """`run_metadata.json`, which `run-metadata.json` links to."""
        return self.path / "run_metadata.json"

    @property
    def summary(self) -> Path:
        """`summary.json`."""
        return self.path / "summary.json"

    @property
    def cast(self) -> Path:
        """`agent.cast`, the terminal recording."""
        return self.path / "agent.cast"

    @property
    def post_test(self) -> Path:
        """`post-test.txt`, all of the verifier's output."""
        return self.path / "post-test.txt"

    @property
    def trajectory(self) -> Path:
        """`atif/trajectory.json`."""
        return self._inside("atif") / "trajectory.json"

    @property
    def raw(self) -> Path:
        """`raw/`, for logs as they came."""
        return self._inside("raw")

    @property
    def events(self) -> Path:
        """`raw/events.jsonl`, the event log."""
        return self.raw / "events.jsonl"

    @property
    def verifier(self) -> Path:
        """`verifier/`, for what the verifiers leave."""
        return self._inside("verifier")

    def write_metadata(self, metadata: TrialMetadata) -> None:
        """Write the metadata, under both of its names. It may be written again, with what is known later."""
        write_json(self.run_metadata, metadata)
        other = self.path / "run-metadata.json"
        if other.is_symlink():
            return
        try:
            if not other.exists():
                other.symlink_to(self.run_metadata.name)
                return
        except OSError:
            pass  # no links here: a copy serves
        write_bytes(other, self.run_metadata.read_bytes())

    def write_summary(self, summary: TrialSummary) -> None:
        """Write the summary."""
        write_json(self.summary, summary)

    def _inside(self, name: str) -> Path:
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder


class PostTestWriter:
    """Appends the verifier's output to `post-test.txt` as it comes, redacted; every chunk is with the system on return.

    At `limit` bytes it stops writing, goes on counting, and says at the end how much was left out.
    """

    def __init__(self, path: Path, redactor: Redactor, *, limit: int = POST_TEST_LIMIT) -> None:
        self._file = path.open("ab", buffering=0)
        self._stream = redactor.stream()
        self._left = limit
        self._omitted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, chunk: bytes) -> None:
        """The next chunk, as it came."""
        if self._left > 0:
            self._append(self._stream.feed(chunk))
        else:
            self._omitted += len(chunk)  # to redact what nobody will see would take most of the verifier's time

    def close(self) -> None:
        """Write what was held back, and the mark of a cut. Idempotent."""
        if self._file.closed:
            return
        try:
            self._append(self._stream.flush())
            if self._omitted:
                _write_all(self._file.fileno(), f"\n[cut here: {self._omitted} more bytes were left out]\n".encode())
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _append(self, data: bytes) -> None:
        kept = data[: self._left]
        self._left -= len(kept)
        self._omitted += len(data) - len(kept)
        _write_all(self._file.fileno(), kept)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
