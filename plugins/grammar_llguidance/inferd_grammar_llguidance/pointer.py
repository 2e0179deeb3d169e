"""Where keywords stand in a JSON schema, as JSON pointers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

NAMES = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose value has names of the schema's author, not keywords."""


def pointers(schema: str, fits: Callable[[str, Any], bool], most: int = 8) -> list[str]:
    """Of keywords that fit with their value, in the order of the schema."""
    found = (path for path, key, value in _keys(json.loads(schema), "") if fits(key, value))
    return [path for path, _ in zip(found, range(most), strict=False)]


def _keys(node: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    if isinstance(node, list):
        for place, value in enumerate(node):
            yield from _keys(value, f"{path}/{place}")
    elif isinstance(node, dict):
        for key, value in node.items():
            here = f"{path}/{_escaped(key)}"
            yield here, key, value
            if key in NAMES and isinstance(value, dict):
                for name, inner in value.items():
                    yield from _keys(inner, f"{here}/{_escaped(name)}")
            elif key not in ("enum", "const", "default", "examples"):
                yield from _keys(value, here)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
