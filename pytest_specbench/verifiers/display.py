"""How text that came out of a sandbox is shown: nothing in it may act on a terminal or feign another line."""

from __future__ import annotations

import re
import unicodedata

_PLAIN = re.compile(r"[\x20-\x7e]*")


def shown(text: str, *, limit: int = 500) -> str:
    """One printable line: control characters, escape sequences, newlines and bidirectional marks come out escaped."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return cut if _PLAIN.fullmatch(cut) else "".join(map(_shown_character, cut))


def _shown_character(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
