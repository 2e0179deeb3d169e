"""Keywords of JSON schema that xgrammar enforces, by type.

The lists hold what has been seen to be enforced; a keyword that is not in them is not.
"""

from __future__ import annotations

from typing import Any

from inferd_grammar_xgrammar.patterns import fault_of_pattern

MAX_MULTIPLE = 1024  # beyond, 0.2.8 prints a warning and leaves it out
FREE = frozenset(
    [
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
        "$schema",
    ]
)
DEFINITIONS = ("$defs", "definitions")
ALONE = ("$ref", "anyOf", "allOf", "enum", "const")  # keywords beside them are not read
BOUNDS = frozenset(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])
OF_TYPE: dict[str, frozenset[str]] = {
    "null": frozenset(),
    "boolean": frozenset(),
    "number": BOUNDS,
    "integer": BOUNDS | {"multipleOf"},
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "object": frozenset(
        [
            "properties",
            "required",
            "additionalProperties",
            "patternProperties",
            "propertyNames",
            "minProperties",
            "maxProperties",
        ]
    ),
}
RIVALS = (  # the first is enforced, the second not beside it
    ("pattern", ("format", "minLength", "maxLength")),
    ("format", ("minLength", "maxLength")),
    ("properties", ("patternProperties", "propertyNames")),
    ("patternProperties", ("propertyNames",)),
)
FORMATS = frozenset(["time", "duration", "ipv6", "uuid", "uri", "uri-reference", "uri-template"])
PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}


def is_kept(key: str, node: dict[str, Any]) -> bool:
    """Whether a keyword of a known type, with this value, is enforced."""
    value = node[key]
    closed = node.get("additionalProperties") is False
    match key:
        case "pattern":
            kept = isinstance(value, str) and fault_of_pattern(value) is None
        case "format":
            kept = value in FORMATS
        case "multipleOf":
            kept = isinstance(value, int) and 0 < value <= MAX_MULTIPLE
        case "required":
            kept = isinstance(value, list) and set(value) <= set(node.get("properties", {}))
        case "patternProperties":
            kept = closed and not any(map(fault_of_pattern, value))
        case "minProperties":  # keys that are not the schema's may come twice
            kept = value == 1 or (closed and "properties" in node)
        case _:
            kept = True
    return kept


def types_of(node: dict[str, Any]) -> frozenset[str]:
    """Empty for a schema without types."""
    types = node.get("type", [])
    return frozenset([types] if isinstance(types, str) else map(str, types))


def is_of(value: Any, types: frozenset[str]) -> bool:
    kinds = tuple(kind for one in types for kind in PYTHON_TYPES.get(one, ()))
    if isinstance(value, bool):
        return not types or "boolean" in types
    return not types or isinstance(value, kinds)
