"""What the issue trackers have in common: tickets are found by a label or by their author, and by the mark in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pytest_specbench.incidents.channel import ChannelError, Delivery, Issue, keys_in

LABEL = "specbench-incident"
"""Only who may triage can set it, so that a stranger's issue with a copied mark is not taken for ours."""
PAGE = 100


class Tracker(ABC):
    """A channel over an issue tracker's API. All open tickets are asked for once, when the first is looked for."""

    url_is_secret: ClassVar[bool] = False

    def __init__(self) -> None:
        self._open: dict[str, Issue] | None = None

    def find_open(self, key: str) -> Issue | None:
        if self._open is None:
            self._open = self._found()
        return self._open.get(key)

    def open(self, delivery: Delivery) -> Issue:
        message = delivery.message
        placed = self._attach(delivery)
        made = self._create(message.title, delivery.body(placed))
        # Another session may have opened one at the same moment: the API knows no condition. The older one stays.
        try:
            self._open = self._found()
        except ChannelError:
            self._open = None
            return made
        first = self._open.setdefault(message.key, made)
        if first.ref == made.ref:
            return made
        self._say(made, f"The same as {first.url or first.ref}, which is older.")
        self._shut(made)
        return self.comment(first, delivery)

    def comment(self, issue: Issue, delivery: Delivery) -> Issue:
        if not delivery.retried or not self._arrived(issue, delivery):
            self._say(issue, delivery.note())
        return issue

    def close(self, issue: Issue, delivery: Delivery) -> Issue:
        self.comment(issue, delivery)
        self._shut(issue)
        if self._open is not None:
            self._open.pop(delivery.message.key, None)
        return issue

    def _arrived(self, issue: Issue, delivery: Delivery) -> bool:
        return delivery.is_in(issue.text) or any(map(delivery.is_in, self._comments(issue)))

    def _found(self) -> dict[str, Issue]:
        """Key -> the oldest open ticket."""
        found: dict[str, Issue] = {}
        for item in self._listed():
            issue = self._issue(item)
            for key in keys_in(issue.text):
                if key not in found or int(issue.ref) < int(found[key].ref):
                    found[key] = issue
        return found

    @abstractmethod
    def _listed(self) -> Iterable[Mapping[str, Any]]:
        """The open tickets that may be ours, as the API gives them."""

    @abstractmethod
    def _issue(self, item: Any) -> Issue:
        """A ticket as the API gives it. Raises ChannelError when it is none."""

    @abstractmethod
    def _create(self, title: str, body: str) -> Issue:
        """Open a ticket."""

    @abstractmethod
    def _say(self, issue: Issue, text: str) -> None:
        """Add a comment."""

    @abstractmethod
    def _comments(self, issue: Issue) -> Iterable[str]:
        """The texts of the comments."""

    @abstractmethod
    def _shut(self, issue: Issue) -> None:
        """Close the ticket."""

    def _attach(self, delivery: Delivery) -> Mapping[str, str]:  # noqa: ARG002 - a tracker that can, overrides it
        """Attach what can be attached; return name -> URL."""
        return {}


def field[T](item: Any, name: str, kind: type[T]) -> T:
    """A field of what a server answered. Raises ChannelError when it is not there or is something else."""
    value = item.get(name) if isinstance(item, Mapping) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ChannelError(f"its answer has no {name!r} that can be used")
    return value
