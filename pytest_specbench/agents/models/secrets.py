"""Keeps the values of keys out of cassettes and messages."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SECRET_NAME = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:$|_)", re.IGNORECASE)
_SHORTEST = 8  # shorter values are words and flags: replacing them would maim ordinary text


def known_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Values of the variables whose name says that they are secret, longest first."""
    values = {value for name, value in environment.items() if _SECRET_NAME.search(name) and len(value) >= _SHORTEST}
    return tuple(sorted(values, key=lambda value: (-len(value), value)))


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """The text with every secret replaced by `<redacted>`."""
    for secret in secrets:
        text = text.replace(secret, "<redacted>")
    return text
