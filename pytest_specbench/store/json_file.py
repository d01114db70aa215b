"""JSON files that somebody may have damaged: read in bounded memory, and refused where readers would differ."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any


def read_json(path: Path, most: int) -> Any:
    """The content of a JSON file (UTF-8) of at most `most` bytes.

    Raises FileNotFoundError where there is none (a link to nowhere is no such case), OSError where it cannot be read,
    and ValueError, with the reason, for everything that is wrong with it: no regular file, too large, no JSON, the same
    key twice, NaN, half a character, nested too deeply.
    """
    if os.path.lexists(path) and not os.path.exists(path):  # noqa: PTH110 - the pair belongs together
        raise ValueError("it is no regular file")
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")  # reading a pipe would never end
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most} bytes")
    return parse_json(data)


def parse_json(data: bytes) -> Any:
    """The content of JSON text (UTF-8). Raises ValueError as `read_json` does."""
    try:
        content = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_no_constant)
        json.dumps(content, ensure_ascii=False).encode()  # half a character could not be written into any report
    except RecursionError:
        raise ValueError("not JSON: it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
