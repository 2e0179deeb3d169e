"""What a schema may ask for at most, whichever back end is to enforce it."""

from __future__ import annotations

import json
from typing import Any

from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs, too_complex

MOST_DEPTH = 64
MOST_COUNT = 1 << 20  # of items, characters or properties: more than any context holds
COUNTS = ("minItems", "minLength", "minProperties")


def check_bounds(wanted: StructuredOutputs) -> None:
    """Raises RequestError with the code grammar_too_complex. What is no JSON is left to others."""
    if wanted.json is None:
        return
    try:
        level = [json.loads(wanted.json)]
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        return
    for _ in range(MOST_DEPTH):
        for node in level:
            _check_counts(node)
        level = [inner for node in level for inner in _inside(node)]
    if level:
        raise _too_deep()


def _inside(node: Any) -> list[Any]:
    values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [value for value in values if isinstance(value, dict | list)]


def _check_counts(node: Any) -> None:
    for name in COUNTS if isinstance(node, dict) else ():
        count = node.get(name)
        if isinstance(count, int | float) and count > MOST_COUNT:
            raise too_complex(f"{name} is at most {MOST_COUNT} here, got {count}")


def _too_deep() -> RequestError:
    return too_complex(f"the schema is nested in more than {MOST_DEPTH} levels")
