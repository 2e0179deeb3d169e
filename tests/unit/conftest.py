"""Fixtures for unit tests of any area."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fake_plugins import plugins

__all__ = ["plugins"]
