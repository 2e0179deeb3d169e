"""Checked access to a GGUF file's metadata."""

from __future__ import annotations

import math
from typing import Any

from inferd.errors import CheckpointError


class Reader:
    """Checked access to the keys of one architecture."""

    def __init__(self, metadata: dict[str, Any], arch: str) -> None:
        self._metadata = metadata
        self.arch = arch

    def get(self, key: str) -> Any:
        return self._metadata.get(f"{self.arch}.{key}")

    def count(
        self, key: str, default: int | None = None, *, least: int = 1, most: int = 1 << 32
    ) -> int:
        value = self.get(key)
        if value is None and default is not None:
            return default
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(key, value, f"a number from {least} to {most}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.wrong(key, value, "a number above 0")
        return float(value)

    def wrong(self, key: str, value: Any, wanted: str) -> CheckpointError:
        shown = "missing" if value is None else f"{value!r:.80}"
        return CheckpointError(f"GGUF key {self.arch}.{key} is {shown}, expected {wanted}")
