"""Where this package keeps what can be made again, and the locks on what several processes may change."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_cache() -> Path | None:
    """The user's cache folder for this package, which may not exist yet; None where nobody can tell it."""
    try:
        usual = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
        base = Path(os.environ.get("XDG_CACHE_HOME") or usual)
    except RuntimeError:  # a user without a home
        return None
    return base / "pytest-specbench" if base.is_absolute() else None
