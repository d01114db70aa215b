"""The channels that a session is configured with: `folder`, `folder:PATH`, `github:owner/repo`, ..., or `none`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import urlsplit

from pytest_specbench.core.errors import UsageError
from pytest_specbench.incidents import CHANNELS
from pytest_specbench.incidents.channel import Channel

NONE = "none"


@dataclass(frozen=True)
class Spec:
    """One configured channel."""

    name: str
    argument: str
    channel: type[Channel]

    @property
    def channel_id(self) -> str:
        """A name that two channels never share, and that tells nothing."""
        digest = hashlib.sha256(f"{self.name}:{self.argument}".encode("utf-8", "surrogatepass")).hexdigest()
        return digest[:12]

    @property
    def shown(self) -> str:
        """The channel as it is shown, without what may be secret."""
        if not self.argument:
            return self.name
        shown = (urlsplit(self.argument).hostname or "") if self.channel.url_is_secret else self.argument
        return f"{self.name}:{shown}"


def parse_channels(text: str) -> tuple[Spec, ...]:
    """The channels of a comma list, without asking any of them. Raises ValueError that names what is expected."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if NONE in parts:
        if parts != [NONE]:
            raise ValueError(f"{NONE!r} stands alone, or not at all")
        return ()
    if not parts:
        raise ValueError(f"names no channel; expected one or more of {', '.join(CHANNELS.names())}, or {NONE}")
    found = tuple(map(_spec, parts))
    for number, spec in enumerate(found):
        if spec.channel_id in {other.channel_id for other in found[:number]}:
            raise ValueError(f"{spec.shown} is there twice")
    return found


def _spec(part: str) -> Spec:
    name, _, argument = part.partition(":")
    known = CHANNELS.names()
    if name not in known:
        near = get_close_matches(name, [*known, NONE], n=1)
        raise ValueError(
            f"no incident channel is called {name!r}; expected one of {', '.join(known)}, or {NONE}"
            + (f"; the nearest is {near[0]!r}" if near else "")
        )
    try:
        channel: type[Channel] = CHANNELS.load(name)
    except UsageError as error:
        raise ValueError(error.message) from None
    channel.check(argument)
    return Spec(name, argument, channel)
