"""Who ended a container, or held it up: what is inside of it, or somebody who used the engine from outside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from docker import APIClient

from pytest_specbench.core.errors import InfrastructureError

OUTSIDE = {"kill": "killed", "stop": "stopped", "restart": "restarted", "destroy": "removed"}
"""Events of a container that only a request to the engine causes -> what was done to it."""
LATE_SEC = 1
"""How much later than the end of a container the engine may note who asked for it."""
HINT = "see who uses the engine beside this run (`docker events`), then run again"


class Life:
    """What one container does between two starts of ours.

    The engine keeps events only for a while, and not over a restart of its own: an end of which it does not know any
    more how it came counts as the engine's, never as the agent's. What it writes down without a request of anybody
    came from inside: nothing in a container reaches the engine.
    """

    def __init__(self, api: APIClient, container: str) -> None:
        self._api = api
        self._container = container
        self._started = ""
        self._ended_by_us = False

    def begin(self) -> None:
        """Take the last start of the container, and its end if there is one, for ours. Raises the engine's errors."""
        state = self._state()
        self._started = str(state["StartedAt"])
        self._ended_by_us = not state["Running"]

    def ended(self) -> bool:
        """Whether it was ended from inside, or by us; False while it goes on.

        Raises InfrastructureError when it was ended, restarted or is paused from outside, and the engine's errors.
        """
        state = self._state()
        if state["Paused"]:
            raise _told("paused")
        if state["StartedAt"] != self._started:
            raise _told("restarted")
        if state["Running"]:
            return False
        if self._ended_by_us:
            return True
        happened = self._events(_time(state["FinishedAt"]) + timedelta(seconds=LATE_SEC))
        _refuse_outsiders(happened)
        # The end alone, without anything that went before it, was noted by an engine that came up only then.
        if "die" not in happened[1:]:
            raise InfrastructureError(
                "the sandbox's container has ended, and the engine does not know how: it was restarted", hint=HINT
            )
        return True

    def refuse_outsiders(self) -> None:
        """Raise InfrastructureError when somebody has asked the engine to end it, whether it is over yet or not."""
        now: dict[str, Any] = self._api.info()
        _refuse_outsiders(self._events(_time(now["SystemTime"])))

    def _state(self) -> Mapping[str, Any]:
        state: Mapping[str, Any] = self._api.inspect_container(self._container)["State"]
        return state

    def _events(self, until: datetime) -> list[str]:
        """What happened to the container in this life, in order. All times are the engine's."""
        ask: Any = self._api.events  # its types know no fractions of seconds
        events = ask(
            since=f"{_time(self._started).timestamp():.6f}",
            until=f"{until.timestamp():.6f}",
            filters={"type": "container", "container": self._container},
            decode=True,
        )
        return [str(event["Action"]) for event in events]


def _refuse_outsiders(happened: list[str]) -> None:
    for action in happened:
        if action in OUTSIDE:
            raise _told(OUTSIDE[action])


def _told(done: str) -> InfrastructureError:
    return InfrastructureError(f"the sandbox's container was {done} from outside, not by what ran in it", hint=HINT)


def _time(text: str) -> datetime:
    """The engine's times have nanoseconds, and UTC or an offset."""
    return datetime.fromisoformat(text).astimezone(UTC)
