"""JSON files that somebody may have damaged: read in bounded memory, and refused where readers would differ."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from pytest_specbench.core.json_text import parse_json


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
