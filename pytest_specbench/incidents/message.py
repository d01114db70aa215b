"""What is told of a scenario, in the form in which it is kept until it has been delivered."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import Field

from pytest_specbench.core.model import Record
from pytest_specbench.core.records import BenchmarkRun
from pytest_specbench.core.status import Cause, Status

type Event = Literal["failed", "recovered"]


class Attachment(Record):
    """A file that belongs to an incident."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
    """What it is called where it is attached."""
    path: str
    """Where it lies, relative to the artifact root."""
    label: str
    """Its name as Markdown."""
    otherwise: str
    """Where to find it when it is not attached, as Markdown."""


class Message(Record):
    """One event of one scenario for one channel. Every text in it is free of secrets and safe as Markdown."""

    schema_version: Literal["1"] = "1"
    """Version of this record's form."""
    channel_id: str = Field(pattern=r"^[a-z0-9-]{1,100}$")
    """Hash of the channel as it is configured."""
    channel: str
    """The channel as it is shown."""
    key: str = Field(pattern=r"^[0-9a-f]{32}$")
    """Scenario and instrument: there is one open ticket for each."""
    event: Event
    """What happened."""
    scenario_id: str
    """The scenario."""
    owner_rotation: str
    """Who is to look at it."""
    status: Status
    """Status of the benchmark run."""
    cause: Cause
    """Why."""
    run_id: str
    """The invocation."""
    commit_sha: str | None
    """Commit that ran; null where it is not known."""
    dataset_version: str
    """`NAME==VERSION` of the dataset."""
    title: str
    """One line of plain text."""
    body: str
    """A new ticket's text, without attachments and marks."""
    comment: str
    """What is added to a ticket that is open."""
    attachments: tuple[Attachment, ...] = ()
    """What is attached to a new ticket, where the channel can."""

    @property
    def key_mark(self) -> str:
        """The hidden line by which an open ticket is found again."""
        return f"<!-- specbench-incident:{self.key} -->"

    @property
    def run_mark(self) -> str:
        """The hidden line by which it is known that this very message has arrived."""
        return f"<!-- specbench-run:{self.run_id}:{self.event} -->"


def event_of(run: BenchmarkRun) -> Event | None:
    """What a benchmark run has to tell: a regression, a recovery, or nothing.

    Nothing is known by a blocked run, or by a provisional one; an acknowledged regression is known to its maintainers,
    and is no recovery.
    """
    if run.status is Status.REGRESSION:
        return "failed"
    if run.status is Status.PASS and run.cause is not Cause.ACKNOWLEDGED and run.acknowledgement is None:
        return "recovered"
    return None


def incident_key(run: BenchmarkRun) -> str | None:
    """Hash over scenario and instrument: what has the same one has one ticket. None without a fingerprint."""
    if run.fingerprint is None:
        return None
    text = json.dumps([run.scenario_id, run.fingerprint.instrument], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
