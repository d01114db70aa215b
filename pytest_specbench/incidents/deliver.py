"""Delivers messages to one channel: those that wait first, then this session's, in their order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pytest_specbench.incidents.channel import Channel, ChannelError, Context, Delivery, Issue, NotConfiguredError
from pytest_specbench.incidents.evidence import read_artifact
from pytest_specbench.incidents.message import Message
from pytest_specbench.incidents.outbox import Kept, Outbox
from pytest_specbench.incidents.specs import Spec
from pytest_specbench.reporting.incident import IncidentReport
from pytest_specbench.reporting.text import printable

type Action = Literal["opened", "commented", "closed", "queued", "lost"]


@dataclass
class Round:
    """One session's deliveries to one channel. `run` is for a thread of its own; `rest` is called when that has ended,
    or was left behind.
    """

    spec: Spec
    context: Context
    outbox: Outbox
    messages: Sequence[Message]
    """This session's, not yet kept anywhere."""
    reports: list[IncidentReport] = field(default_factory=list)
    """What became of the messages; nothing for a recovery where nothing was open."""
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _handled: set[tuple[str, str]] = field(default_factory=set)
    _down: ChannelError | None = None
    _refused: dict[str, ChannelError] = field(default_factory=dict)

    def run(self) -> None:
        """Deliver what can be delivered. Never raises: what a channel throws keeps the messages where they are."""
        try:
            with self.outbox.delivering(self.spec.channel_id, self.context.budget):
                waiting = self.outbox.waiting(self.spec.channel_id)
                # A failure is kept before it is sent, so that it is not lost with this process. A recovery is seen
                # again in the next green run.
                new = [self._kept(each) if each.event == "failed" else Kept(each, None) for each in self.messages]
                known = {kept.path for kept in waiting}
                self._deliver(waiting, [each for each in new if each.path is None or each.path not in known])
        except ChannelError as error:
            self._down = error
        except Exception as error:  # noqa: BLE001 - nothing that happens here changes a verdict
            self._down = ChannelError(f"{type(error).__name__} while messages were delivered")

    def rest(self) -> list[IncidentReport]:
        """Keep what was not delivered; return the reports, to which nothing is added any more."""
        why = self._down or ChannelError("it did not answer in time")
        for message in self.messages:
            if (message.key, message.event) not in self._handled:
                self._queue(Kept(message, None), why)
        with self._lock:
            self._ended = True
            return self.reports

    def _kept(self, message: Message) -> Kept:
        try:
            return self.outbox.keep(message)
        except ChannelError:
            return Kept(message, None)  # it can still be delivered now

    def _deliver(self, waiting: Sequence[Kept], new: Sequence[Kept]) -> None:
        if not waiting and not new:
            return
        channel: Channel | None = None
        for number, kept in enumerate((*waiting, *new)):
            retried = number < len(waiting)
            key = kept.message.key
            try:
                self.context.budget.check()
                if self._down is None and key not in self._refused:
                    channel = channel or self.spec.channel(self.spec.argument, self.context)
                    self._one(channel, kept, retried=retried)
                    continue
            except ChannelError as error:
                self._failed(key, error)
            except Exception as error:  # noqa: BLE001 - a channel may be anybody's, and none of them changes a verdict
                self._failed(key, ChannelError(f"{type(error).__name__} in the channel"))
            why = self._down or self._refused[key]
            if not retried:
                self._queue(kept, why)

    def _failed(self, key: str, error: ChannelError) -> None:
        if error.refused:
            self._refused[key] = error
        else:
            self._down = error

    def _one(self, channel: Channel, kept: Kept, *, retried: bool) -> None:
        message = kept.message
        output, redactor = self.context.output, self.context.redactor
        delivery = Delivery(message, retried, lambda item, limit: read_artifact(output, item.path, limit, redactor))
        found = channel.find_open(message.key)
        action: Action | None
        issue: Issue | None
        if message.event == "recovered":
            action, issue = (None, None) if found is None else ("closed", channel.close(found, delivery))
        elif found is None:
            action, issue = "opened", channel.open(delivery)
        elif retried and delivery.is_in(found.text):
            action, issue = "opened", found  # the earlier session did, and did not hear of it
        else:
            action, issue = "commented", channel.comment(found, delivery)
        self.outbox.done(kept)
        self._handled.add((message.key, message.event))
        if action is not None:
            self._report(message, action, issue, "kept from an earlier run" if retried else "")

    def _queue(self, kept: Kept, why: ChannelError) -> None:
        """Keep a message for the next session."""
        message = kept.message
        self._handled.add((message.key, message.event))
        reason = self.context.redactor.text(str(why))
        if message.event == "recovered":
            last = [
                each.message.event
                for each in self.outbox.waiting(message.channel_id)
                if each.message.key == message.key
            ][-1:]
            if last == ["recovered"] or (not last and isinstance(why, NotConfiguredError)):
                return  # known already; or nobody here ever told this channel anything
        try:
            if kept.path is None:
                self.outbox.keep(message)
        except ChannelError as error:
            self._report(message, "lost", None, f"{reason}; {self.context.redactor.text(str(error))}")
        else:
            self._report(message, "queued", None, f"{reason}; kept for the next run")

    def _report(self, message: Message, action: Action, issue: Issue | None, reason: str) -> None:
        made = IncidentReport(
            scenario_id=message.scenario_id,
            channel=message.channel,
            action=action,
            url=None if issue is None or issue.url is None else printable(issue.url),
            reason=printable(reason),
        )
        with self._lock:
            if not self._ended:
                self.reports.append(made)
