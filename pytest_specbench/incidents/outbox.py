"""What could not be delivered, one file a message, until it is."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from pytest_specbench.incidents.channel import Budget, ChannelError
from pytest_specbench.incidents.message import Message
from pytest_specbench.recording.files import write_json

LIMIT = 500
"""Messages that are kept for one channel. A channel that is down for longer is not coming back by itself."""
MAX_BYTES = 1_000_000
_NAME = re.compile(r"(\d{9})-([a-z0-9-]+)-([0-9a-f]{16})\.json")


@dataclass(frozen=True)
class Kept:
    """A message, and the file that it is kept in; None while it is in no file."""

    message: Message
    path: Path | None


class Outbox:
    """The messages that wait, in the order in which they came: `NUMBER-CHANNEL-HASH.json` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def delivering(self, channel_id: str, budget: Budget) -> Iterator[None]:
        """Only one session at a time delivers to a channel, so that order is kept and nothing is opened twice.

        Raises ChannelError when another one took longer than there is time.
        """
        # The mutex lies outside of the artifacts: a green run leaves nothing there.
        digest = hashlib.sha256(f"{self._folder.resolve()}:{channel_id}".encode()).hexdigest()[:16]
        mutex = Path(tempfile.gettempdir()) / f"specbench-{os.getuid()}-{digest}.mutex"
        lock = FileLock(mutex, timeout=budget.remaining())
        try:
            lock.acquire()
        except Timeout:
            raise ChannelError("another session is delivering") from None
        except (OSError, NotImplementedError) as error:
            raise ChannelError(f"the lock cannot be taken: {error}") from None
        try:
            yield
        finally:
            lock.release()

    def waiting(self, channel_id: str) -> list[Kept]:
        """The messages that wait for a channel, the oldest first. What cannot be read is left alone."""
        found: list[Kept] = []
        for path in self._files(channel_id):
            try:
                if path.is_symlink() or path.stat().st_size > MAX_BYTES:
                    continue
                message = Message.model_validate_json(path.read_bytes())
            except (OSError, ValidationError):
                continue
            if message.channel_id == channel_id:
                found.append(Kept(message, path))
        return found

    def keep(self, message: Message) -> Kept:
        """Keep a message; once, however often it is given. Raises ChannelError where it cannot be kept."""
        named = f"{message.run_id}:{message.key}:{message.event}"
        digest = hashlib.sha256(named.encode()).hexdigest()[:16]
        there = self._files(message.channel_id)
        for path in there:
            if path.name.endswith(f"-{digest}.json"):
                return Kept(message, path)
        if len(there) >= LIMIT:
            raise ChannelError(f"{LIMIT} messages wait already in {self._folder}")
        number = max((int(path.name[:9]) for path in there), default=0) + 1
        path = self._folder / f"{number:09d}-{message.channel_id}-{digest}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_json(path, message)
        except OSError as error:
            raise ChannelError(f"it cannot be kept in {self._folder}: {error.strerror}") from None
        return Kept(message, path)

    def done(self, kept: Kept) -> None:
        """A message was delivered."""
        if kept.path is not None:
            kept.path.unlink(missing_ok=True)

    def _files(self, channel_id: str) -> list[Path]:
        try:
            named = [(path, _NAME.fullmatch(path.name)) for path in self._folder.iterdir()]
        except OSError:
            return []
        return sorted(path for path, match in named if match and match[2] == channel_id)
