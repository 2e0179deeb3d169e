"""Where inferd keeps what it has fetched, converted or compiled."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """INFERD_CACHE, else inferd in the user's cache directory."""
    base = os.environ.get("INFERD_CACHE")
    if base:
        return Path(base).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferd"
