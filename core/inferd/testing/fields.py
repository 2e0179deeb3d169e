"""The fields of a config.json: which a model reads, and what they could be instead.

A field of an inner object is named by its path: "rope_parameters.factor".
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

ABSENT = object()


class Recorded(Mapping[str, Any]):
    """A configuration that notes what is asked for, present or not."""

    def __init__(self, values: Mapping[str, Any], seen: set[str], prefix: str = "") -> None:
        self._values, self._seen, self._prefix = values, seen, prefix

    def __getitem__(self, key: str) -> Any:
        path = f"{self._prefix}{key}"
        self._seen.add(path)
        value = self._values[key]
        return Recorded(value, self._seen, f"{path}.") if isinstance(value, Mapping) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def value_at(config: Mapping[str, Any], path: str) -> Any:
    """The value, or ABSENT."""
    found: Any = config
    for key in path.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return ABSENT
        found = found[key]
    return found


def is_object(config: Mapping[str, Any], path: str) -> bool:
    return isinstance(value_at(config, path), Mapping)


def paths(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field that is no object, with its value."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from paths(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def with_value(config: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with the field set, or taken out where `value` is ABSENT; its object must be there."""
    changed = copy.deepcopy(dict(config))
    *parents, last = path.split(".")
    place: Any = changed
    for key in parents:
        place = place[key]
    if value is ABSENT:
        place.pop(last, None)
    else:
        place[last] = value
    return changed


def alterations(value: Any) -> list[Any]:
    """Other values of the same kind; for what has none, the field's absence."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value * 2, value / 2 if isinstance(value, float) else max(1, value // 2)]
    if isinstance(value, list) and all(isinstance(item, int | float) for item in value):
        return [[item * 1.5 for item in value]]
    if isinstance(value, list):
        return [value[::-1]]
    return [ABSENT]
