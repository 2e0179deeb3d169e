"""Where keywords stand in a JSON schema, as JSON pointers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

NAMES = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose value has names of the schema's author, not keywords."""


def pointers(schema: str, keywords: str, most: int = 8) -> list[str]:
    """Of any of `keywords`, a JSON list, in the order of the schema."""
    wanted = set(json.loads(keywords))
    found = (path for path, key in _keys(json.loads(schema), "") if key in wanted)
    return [path for path, _ in zip(found, range(most), strict=False)]


def _keys(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for place, value in enumerate(node):
            yield from _keys(value, f"{path}/{place}")
    elif isinstance(node, dict):
        for key, value in node.items():
            here = f"{path}/{_escaped(key)}"
            yield here, key
            if key in NAMES and isinstance(value, dict):
                for name, inner in value.items():
                    yield from _keys(inner, f"{here}/{_escaped(name)}")
            elif key not in ("enum", "const", "default", "examples"):
                yield from _keys(value, here)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
