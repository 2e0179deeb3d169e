"""Files as checkpoints use them: mapped into memory, or read as text or one JSON object."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

from inferd.errors import CheckpointError


def open_mapped(path: Path) -> mmap.mmap:
    """Private pages: torch wants them writable. Raises CheckpointError for an unreadable file."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from None


def read_text(path: Path) -> str:
    """UTF-8; raises CheckpointError naming the file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; the checkpoint is not complete") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises CheckpointError naming the file."""
    text = read_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value
