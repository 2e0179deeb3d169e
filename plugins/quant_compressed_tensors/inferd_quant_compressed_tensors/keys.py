"""Checking the entries of a quantization_config."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from inferd.errors import UnsupportedModel

Checked = tuple[tuple[str, Any, Collection[Any]], ...]  # key, what was found, what is known


def check(name: str, entries: Checked) -> None:
    """Raises UnsupportedModel for the first entry of group `name` that is not known."""
    for key, found, known in entries:
        if found not in known:
            raise unusable(f"{name}.{key}", found, f"one of {', '.join(map(str, known))}")


def unusable(key: str, value: Any, wanted: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"quantization_config of compressed-tensors: {key} is {value!r}, expected {wanted}"
    )
