"""What became of telling somebody about a scenario."""

from __future__ import annotations

from typing import Literal

from pytest_specbench.core.model import Record


class IncidentReport(Record):
    """One scenario and one channel: what was done, or why nothing was."""

    scenario_id: str
    """The scenario."""
    channel: str | None = None
    """The channel as it is configured, without what may be secret; null where no channel was asked."""
    action: Literal["opened", "commented", "closed", "queued", "suppressed", "lost"]
    """`queued`: not delivered, and kept for the next run; `suppressed`: nobody is told; `lost`: not even kept."""
    url: str | None = None
    """The ticket: a URL, or the path of a file; null where there is none."""
    reason: str = ""
    """Why it was queued, suppressed or lost, and what else is to be said."""


def incident_line(incident: IncidentReport) -> str:
    """The incident in a line, as it is shown; not yet safe for a terminal."""
    by = f" ({incident.channel})" if incident.channel else ""
    where = f" {incident.url}" if incident.url else ""
    reason = f": {incident.reason}" if incident.reason else ""
    return f"incident of {incident.scenario_id} {incident.action}{by}{where}{reason}"
