"""Incidents as Markdown files in a folder, with the artifacts beside them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from pytest_specbench.incidents.channel import ChannelError, Context, Delivery, Issue, keys_in
from pytest_specbench.store.placing import place

COPY_LIMIT = 50_000_000
"""Bytes of a file that is copied; where a larger one lies is said."""
MAX_TICKET = 20_000_000
_LOCK = ".lock"
_OPEN = ".open.md"
_CLOSED = ".closed.md"


class FolderChannel:
    """`folder`, which is `incidents` in the artifact root, or `folder:PATH`, relative to pytest's rootdir.

    `NAME-KEY-RUN.open.md` is an open ticket; closed, it is called `NAME-KEY-RUN.closed.md`. What is attached lies in
    the folder `NAME-KEY-RUN`. Several processes may write at the same time.
    """

    url_is_secret: ClassVar[bool] = False

    @classmethod
    def check(cls, argument: str) -> None:
        if not argument.isprintable():
            raise ValueError(f"{argument!r} is no folder; expected folder or folder:PATH")

    def __init__(self, argument: str, context: Context) -> None:
        self._root = context.root
        self._folder = context.root / argument if argument else context.output / "incidents"
        self._budget = context.budget

    def find_open(self, key: str) -> Issue | None:
        with _told():
            for path in sorted(self._folder.glob(f"*-{key[:12]}-*{_OPEN}")):
                text = _text(path)
                if key in keys_in(text):
                    return Issue(path.name, self._shown(path), text)
        return None

    def open(self, delivery: Delivery) -> Issue:
        with self._locked():
            there = self.find_open(delivery.message.key)
            if there is not None:
                return self._add(there, delivery)
            path = self._folder / f"{_stem(delivery)}{_OPEN}"
            text = f"# {delivery.message.title}\n\n{delivery.body(self._copies(delivery))}"
            _write(path, text.encode())
            return Issue(path.name, self._shown(path), text)

    def comment(self, issue: Issue, delivery: Delivery) -> Issue:
        with self._locked():
            return self._add(issue, delivery)

    def close(self, issue: Issue, delivery: Delivery) -> Issue:
        with self._locked():
            self._add(issue, delivery)
            path = self._folder / issue.ref
            closed = path.with_name(path.name.removesuffix(_OPEN) + _CLOSED)
            path.rename(closed)
            return Issue(closed.name, self._shown(closed))

    def _add(self, issue: Issue, delivery: Delivery) -> Issue:
        path = self._folder / issue.ref
        text = _text(path)
        if not delivery.is_in(text):
            _write(path, f"{text}\n---\n\n{delivery.note()}".encode(), replace=True)
        return issue

    def _copies(self, delivery: Delivery) -> dict[str, str]:
        placed: dict[str, str] = {}
        beside = self._folder / _stem(delivery)
        for item in delivery.message.attachments:
            content = delivery.read(item, COPY_LIMIT)
            if content is not None:
                beside.mkdir(exist_ok=True)
                _write(beside / item.name, content, replace=True)
                placed[item.name] = f"{beside.name}/{item.name}"
        return placed

    def _shown(self, path: Path) -> str:
        return (path.relative_to(self._root) if path.is_relative_to(self._root) else path).as_posix()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        with _told():
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                with FileLock(self._folder / _LOCK, timeout=self._budget.remaining()):
                    yield
            except Timeout:
                raise ChannelError("another process is writing into the folder") from None


@contextmanager
def _told() -> Iterator[None]:
    """What the file system does not let us do is the channel's trouble, and nothing else's."""
    try:
        yield
    except (OSError, NotImplementedError) as error:
        raise ChannelError(f"the folder cannot be used: {getattr(error, 'strerror', None) or error}") from None


def _stem(delivery: Delivery) -> str:
    from pytest_specbench.recording.files import safe_name

    message = delivery.message
    return f"{safe_name(message.scenario_id)}-{message.key[:12]}-{message.run_id[:8]}"


def _text(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MAX_TICKET + 1)
    if len(content) > MAX_TICKET:
        raise OSError(f"{path.name} has more than {MAX_TICKET} bytes")
    return content.decode("utf-8", "replace")


def _write(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Write a file wholly or not at all; without `replace` only where there is none (FileExistsError)."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        if replace:
            Path(temporary).replace(path)
        else:
            place(Path(temporary), path)
    finally:
        Path(temporary).unlink(missing_ok=True)
