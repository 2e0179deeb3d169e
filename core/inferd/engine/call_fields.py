"""Arguments of a call one after the other, in the order of the schema."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from inferd.errors import RequestError
from inferd.structured_outputs import too_complex

MOST_FIELDS = 128
Field = dict[str, Any]
NOTES = {"title", "description", "default", "examples", "$comment", "deprecated"}


def ways_of_fields(fields: list[Field], separator: str) -> list[list[Field]]:
    """One for each field that may come first: what separates stands before all others.

    Raises RequestError for too many.
    """
    if not separator:
        return [fields]
    if len(fields) > MOST_FIELDS:
        raise too_complex(f"strict: more than {MOST_FIELDS} arguments", "tools")
    needed = [place for place, field in enumerate(fields) if field["required"]]
    ways = [
        [fields[first] | {"required": True}]
        + [field | {"begin": separator + field["begin"]} for field in fields[first + 1 :]]
        for first in range(needed[0] + 1 if needed else len(fields))
    ]
    return ways if needed else [*ways, []]


def refuse_loose(tool: str, place: str, words: Collection[str]) -> None:
    """Raises RequestError if there are words of a schema that this format cannot be held to."""
    if words:
        raise RequestError(
            f"strict of {tool}: {', '.join(sorted(words))} of {place} cannot be enforced beside "
            "free text in this model's format; tool_choice required or by name enforces it",
            "tools",
        )
