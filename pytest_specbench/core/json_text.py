"""JSON text, read strictly: refused where readers would differ on what it says."""

from __future__ import annotations

import json
from typing import Any


def parse_json(data: bytes) -> Any:
    """The content of JSON text (UTF-8).

    Raises ValueError, with the reason, for what is no JSON, the same key twice, NaN, half a character, and what is
    nested too deeply.
    """
    try:
        content = json.loads(data.decode("utf-8-sig"), object_pairs_hook=distinct_keys, parse_constant=no_constant)
        # Neither half a character nor 1e400 could be written into any report.
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("not JSON: it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    return content


def distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs, as `object_pairs_hook` of json. ValueError: a key is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def no_constant(name: str) -> None:
    """NaN and the infinities, as `parse_constant` of json. Always a ValueError."""
    raise ValueError(f"{name} is no JSON")
