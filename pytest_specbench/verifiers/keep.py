"""Keeping files of a sandbox on the host. Their paths and contents are the agent's, so they are hostile."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

MAX_DEPTH = 30
"""A path with more parts is folded into one name."""
MAX_PATH = 1_000
"""A path with more characters is folded into one name."""

_SAFE_PART = re.compile(r"\.?[A-Za-z0-9_@+=,](?:[A-Za-z0-9._@+=, -]{0,120}[A-Za-z0-9_@+=,-])?")
_RESERVED = re.compile(r"\.?(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


def safe_path(path: str) -> str:
    """A relative path that any file system takes and that leads nowhere else; different paths stay different.

    A part that is not plain is rewritten, and the hash of the whole original path is appended to it after a `~`,
    which no plain part contains.
    """
    parts = path.split("/")
    if len(parts) > MAX_DEPTH or len(path) > MAX_PATH:
        return _folded(path)
    return "/".join(part if _is_plain(part) else _rewritten(part, path) for part in parts)


def keep(folder: Path, path: str, content: bytes) -> Path:
    """Write `content` under `folder` at the safe form of `path`, and return where.

    `folder` is ours: it holds only what this function put there. Raises OSError when the host cannot write.
    """
    target = folder / safe_path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write(content)
    except (FileExistsError, NotADirectoryError):
        # Where the host's file system knows no case, two names of the sandbox may be one here.
        target = folder / _folded(path)
        target.write_bytes(content)
    return target


def _is_plain(part: str) -> bool:
    return _SAFE_PART.fullmatch(part) is not None and _RESERVED.fullmatch(part) is None


def _folded(path: str) -> str:
    return _rewritten(path.replace("/", "_"), path)


def _rewritten(part: str, path: str) -> str:
    mark = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    kept = re.sub(r"[^A-Za-z0-9_-]", "_", part)[:80]
    return f"{kept or '_'}~{mark}"
