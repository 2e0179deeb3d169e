"""Twenty schemas that bound every string and array, so that each output comes to its end."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def text(most: int = 16, **rest: Any) -> Schema:
    return {"type": "string", "maxLength": most, **rest}


def number(least: int = 0, most: int = 99) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def listed(items: Schema, most: int = 3, **rest: Any) -> Schema:
    return {"type": "array", "items": items, "maxItems": most, **rest}


def closed(optional: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def word(*words: str) -> Schema:
    return {"enum": list(words)}


POINT = closed(x=number(-9, 9), y=number(-9, 9))
TREE = {
    "$defs": {"leaf": closed(name=text(8)), "tree": closed(left={"$ref": "#/$defs/leaf"})},
    "$ref": "#/$defs/tree",
}
SCHEMAS: dict[str, Schema] = {
    "person": closed(name=text(), age=number(0, 120)),
    "flags": closed(on={"type": "boolean"}, off={"type": "null"}),
    "choice": word("red", "green", "blue"),
    "mixed enum": {"enum": ["a", 1, None, True, [1, 2]]},
    "constant": closed(kind={"const": "event"}, id=number()),
    "list of words": listed(text(8), minItems=1),
    "list of lists": listed(listed(number(), 2), 2),
    "tuple": {"type": "array", "prefixItems": [text(8), number()], "items": False, "minItems": 2},
    "nested": closed(user=closed(name=text(), address=closed(city=text(), zip=number(1000, 9999)))),
    "optional": closed(("nick", "born"), name=text(), nick=text(8), born=number(1900, 2100)),
    "nullable": closed(name={"anyOf": [text(), {"type": "null"}]}),
    "either": {"anyOf": [closed(circle=number(1, 9)), closed(square=POINT)]},
    "reference": TREE,
    "pattern": closed(code=text(7, pattern="^[A-Z]{3}-[0-9]{3}$")),
    "date": closed(day={"type": "string", "format": "date"}),
    "uuid": closed(id={"type": "string", "format": "uuid"}),
    "multiples": closed(step={**number(0, 100), "multipleOf": 5}),
    "range": {"type": "integer", "minimum": -3, "maximum": 1200},
    "tool call": closed(tool=word("search", "stop"), arguments=closed(query=text(20))),
    "records": listed(closed(name=text(8), tags=listed(word("x", "y", "z"), 2)), 2),
}
