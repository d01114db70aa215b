"""What a channel is: it opens a ticket, adds to it, closes it, and finds it again."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from pytest_specbench.core.redact import Redactor

if TYPE_CHECKING:
    from pytest_specbench.incidents.message import Attachment, Message

# This module and those of the channels are imported by every session that names a channel: they stay light.

_MARK = re.compile(r"^<!-- specbench-(incident:[0-9a-f]{32}|run:[0-9a-f-]{36}:[a-z]+) -->\s*$", re.MULTILINE)
"""Only at the beginning of a line, where nothing of what an agent or a verifier wrote can stand."""


class ChannelError(Exception):
    """A message was not delivered. It is kept, and so is what comes after it for the same channel.

    `refused`: the channel works and does not want this message, so that others may still be delivered.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class NotConfiguredError(ChannelError):
    """The environment does not hold what the channel needs."""


class Budget:
    """The time that a channel has. Once it is over, or cancelled, nothing more is sent."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._cancelled = threading.Event()

    def remaining(self) -> float:
        """Seconds that are left."""
        return 0.0 if self._cancelled.is_set() else max(0.0, self._until - time.monotonic())

    def cancel(self) -> None:
        """End it now."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise ChannelError when the time is over."""
        if not self.remaining():
            raise ChannelError("its time was over")

    def wait(self, seconds: float) -> None:
        """Wait as long as a server asked to, or until it is cancelled."""
        self._cancelled.wait(min(seconds, self.remaining()))


@dataclass(frozen=True)
class Context:
    """What a channel may use."""

    environ: Mapping[str, str]
    """The environment, where tokens come from."""
    root: Path
    """pytest's rootdir; a folder is relative to it."""
    output: Path
    """The artifact root."""
    redactor: Redactor
    """Takes secrets out of what a server said, and of what is attached."""
    budget: Budget
    """The time that the channel has."""


@dataclass(frozen=True)
class Issue:
    """An open ticket."""

    ref: str
    """What the channel calls it."""
    url: str | None
    """Where a person finds it; the path of a file for the folder channel; None where there is no such place."""
    text: str = ""
    """Its text, with the marks."""


@dataclass(frozen=True)
class Delivery:
    """A message that is to be delivered now."""

    message: Message
    retried: bool
    """An earlier session tried already, and it is not known what arrived."""
    read: Callable[[Attachment, int], bytes | None]
    """The content of an attachment without secrets; None when it is gone, or has more bytes than the number given."""

    def body(self, placed: Mapping[str, str]) -> str:
        """A new ticket's text with its attachments and marks. `placed`: name -> URL of those that were attached."""
        message = self.message
        lines = [
            f"- {item.label}: " + (f"[attached]({placed[item.name]})" if item.name in placed else item.otherwise)
            for item in message.attachments
        ]
        evidence = ["### Artifacts\n\n" + "\n".join(lines)] if lines else []
        return "\n\n".join([message.body, *evidence, f"{message.key_mark}\n{message.run_mark}"]) + "\n"

    def note(self) -> str:
        """The text of a comment, with its mark."""
        return f"{self.message.comment}\n\n{self.message.run_mark}\n"

    def is_in(self, text: str) -> bool:
        """Whether this very message stands in a text already."""
        return self.message.run_mark in marks_in(text)


class Channel(Protocol):
    """Where incidents go. Made anew in each session, in a thread of its own, by what stands behind the colon (empty:
    nothing) and a context; both may raise ChannelError. Whatever it raises, no verdict changes.
    """

    url_is_secret: ClassVar[bool]
    """Whether what stands behind the colon must not be shown."""

    def __init__(self, argument: str, context: Context) -> None: ...

    @classmethod
    def check(cls, argument: str) -> None:
        """Raise ValueError, with the form that is expected, when the argument cannot be right. Asks nobody."""
        ...

    def find_open(self, key: str) -> Issue | None:
        """The open ticket with that key."""
        ...

    def open(self, delivery: Delivery) -> Issue:
        """Open a ticket. When somebody else opened one for the key meanwhile, that one gets the comment instead."""
        ...

    def comment(self, issue: Issue, delivery: Delivery) -> Issue:
        """Add the comment, once also when it is retried."""
        ...

    def close(self, issue: Issue, delivery: Delivery) -> Issue:
        """Add the comment, as `comment` does, and close the ticket."""
        ...


def marks_in(text: str) -> set[str]:
    """The marks that stand in a ticket's text, or in a comment's."""
    return {f"<!-- specbench-{match[1]} -->" for match in _MARK.finditer(text.replace("\r\n", "\n"))}


def keys_in(text: str) -> list[str]:
    """The keys that a ticket's text is marked with."""
    head = "<!-- specbench-incident:"
    return sorted(mark[len(head) :].split()[0] for mark in marks_in(text) if mark.startswith(head))
