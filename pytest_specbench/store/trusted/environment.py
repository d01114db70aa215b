"""Whose code runs beside the judge: packages that were installed from the work tree that is judged."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit


def installed_from(work_tree: Path) -> Iterator[str]:
    """A sentence for each package of this environment that was installed from a folder of the work tree (by
    `direct_url.json` of the packaging specifications): its code, pytest plugins too, is the change's, not the ref's.
    """
    for one in distributions():
        url = _folder_of(one.read_text("direct_url.json"))
        if url is not None and Path(os.path.realpath(url)).is_relative_to(work_tree):
            yield (
                f"the package {one.metadata['Name']} of this environment is installed from the work tree: its code is "
                "not the ref's, and runs outside of any sandbox; judge in an environment without it"
            )


def _folder_of(text: str | None) -> str | None:
    try:
        content = json.loads(text or "null")
        parts = urlsplit(content["url"])
        return unquote(parts.path) if parts.scheme == "file" and "dir_info" in content else None
    except (ValueError, KeyError, TypeError):
        return None
