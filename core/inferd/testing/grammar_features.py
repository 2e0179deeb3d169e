"""The keywords of JSON schemas: of each a schema, texts that satisfy it, and texts that do not.

What does not satisfy it fails for that keyword alone, so that a back end which ignores the keyword
lets it through.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

SMALL = {"type": "integer", "minimum": 0, "maximum": 3}


@dataclass(frozen=True, slots=True)
class Feature:
    """One keyword, or one way to use it."""

    schema: dict[str, Any]
    fitting: tuple[Any, ...]  # JSON values, and so are those of `others`
    others: tuple[Any, ...]
    pointer: str = ""  # where the keyword stands that may be refused


def as_text(value: Any) -> str:
    """Without white space between the parts."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _object(**rest: Any) -> dict[str, Any]:
    properties = {"a": SMALL, "b": {"type": "boolean"}}
    return {"type": "object", "properties": properties, "additionalProperties": False, **rest}


def _text(**rest: Any) -> dict[str, Any]:
    return {"type": "string", **rest}


def _array(**rest: Any) -> dict[str, Any]:
    return {"type": "array", "items": SMALL, **rest}


def _number(kind: str = "integer", **rest: Any) -> dict[str, Any]:
    return {"type": kind, **rest}


BOTH = {"a": 1, "b": True}
UUID = "123e4567-e89b-12d3-a456-426614174000"
SCALARS: dict[str, Feature] = {
    "type": Feature({"type": ["null", "boolean"]}, (None, True), (1, "x"), "/type"),
    "enum": Feature({"enum": ["x", 1, None, {"a": [1]}]}, ("x", 1, {"a": [1]}), ("y", 2), "/enum"),
    "const": Feature({"const": {"a": 1}}, ({"a": 1},), ({"a": 2}, {}), "/const"),
    "minimum": Feature(_number(minimum=7, maximum=12), (7, 12), (6, 13, 70), "/minimum"),
    "exclusiveMinimum": Feature(
        _number("number", exclusiveMinimum=0, exclusiveMaximum=1),
        (0.5,),
        (0, 1, 1.5),
        "/exclusiveMinimum",
    ),
    "multipleOf": Feature(
        _number(multipleOf=3, minimum=0, maximum=99), (0, 9, 99), (1, 10), "/multipleOf"
    ),
    "minLength": Feature(
        _text(minLength=2, maxLength=4), ("ab", "abcd"), ("a", "abcde"), "/minLength"
    ),
    "pattern": Feature(_text(pattern="^[a-f]{3}$"), ("abc",), ("abx", "ab"), "/pattern"),
    "lookahead": Feature(_text(pattern="^(?=a)[ab]{2}$"), ("ab",), ("ba",), "/pattern"),
    "format-date": Feature(_text(format="date"), ("2024-02-28",), ("2024-13-01", "x"), "/format"),
    "format-time": Feature(_text(format="time"), ("12:30:00Z",), ("25:00:00Z", "x"), "/format"),
    "format-date-time": Feature(
        _text(format="date-time"), ("2024-02-28T12:30:00Z",), ("2024-02-28", "x"), "/format"
    ),
    "format-uuid": Feature(_text(format="uuid"), (UUID,), (UUID[1:], "x"), "/format"),
    "format-ipv4": Feature(_text(format="ipv4"), ("127.0.0.1",), ("256.1.1.1", "x"), "/format"),
}
OBJECTS: dict[str, Feature] = {
    "required": Feature(_object(required=["b"]), (BOTH, {"b": False}), ({"a": 1}, {}), "/required"),
    "additionalProperties": Feature(_object(), (BOTH,), ({"c": 1},), "/additionalProperties"),
    "additionalProperties-schema": Feature(
        {"type": "object", "additionalProperties": SMALL},
        ({"k": 2}, {}),
        ({"k": 7}, {"k": "x"}),
        "/additionalProperties",
    ),
    "patternProperties": Feature(
        {
            "type": "object",
            "patternProperties": {"^[ab]$": SMALL},
            "additionalProperties": False,
        },
        ({"a": 1},),
        ({"c": 1}, {"a": 9}),
        "/patternProperties",
    ),
    "propertyNames": Feature(
        {
            "type": "object",
            "propertyNames": {"pattern": "^[xy]$"},
            "additionalProperties": SMALL,
        },
        ({"x": 1},),
        ({"z": 1},),
        "/propertyNames",
    ),
    "minProperties": Feature(_object(minProperties=1), (BOTH, {"a": 1}), ({},), "/minProperties"),
    "maxProperties": Feature(
        {"type": "object", "additionalProperties": SMALL, "maxProperties": 1},
        ({"k": 1},),
        ({"k": 1, "l": 1},),
        "/maxProperties",
    ),
    "dependentRequired": Feature(
        _object(dependentRequired={"a": ["b"]}), (BOTH,), ({"a": 1},), "/dependentRequired"
    ),
    "dependentSchemas": Feature(
        _object(dependentSchemas={"a": {"required": ["b"]}}),
        (BOTH,),
        ({"a": 1},),
        "/dependentSchemas",
    ),
    "unevaluatedProperties": Feature(
        {"type": "object", "properties": {"a": SMALL}, "unevaluatedProperties": False},
        ({"a": 1},),
        ({"c": 1},),
        "/unevaluatedProperties",
    ),
}
ARRAYS: dict[str, Feature] = {
    "items": Feature(_array(maxItems=4), ([1, 2], []), (["x"], [9]), "/items"),
    "prefixItems": Feature(
        _array(prefixItems=[SMALL, {"type": "null"}], items=False),
        ([1, None],),
        ([None, 1], [1, None, 1]),
        "/prefixItems",
    ),
    "minItems": Feature(
        _array(minItems=2, maxItems=3), ([1, 2], [1, 2, 3]), ([1], [1, 1, 1, 1]), "/minItems"
    ),
    "uniqueItems": Feature(
        _array(uniqueItems=True, maxItems=4), ([1, 2],), ([1, 1],), "/uniqueItems"
    ),
    "contains": Feature(
        _array(contains={"const": 3}, maxItems=3), ([3], [1, 3]), ([1], []), "/contains"
    ),
}
COMBINED: dict[str, Feature] = {
    "anyOf": Feature({"anyOf": [SMALL, {"type": "null"}]}, (1, None), (9, "x"), "/anyOf"),
    "oneOf-overlap": Feature(
        {"oneOf": [SMALL, _number(minimum=2, maximum=5)]}, (0, 5), (2, 3), "/oneOf"
    ),
    "allOf": Feature({"allOf": [_number(minimum=2), _number(maximum=4)]}, (2, 4), (1, 5), "/allOf"),
    "allOf-objects": Feature(
        {"allOf": [_object(), {"required": ["a", "b"]}]}, (BOTH,), ({"a": 1}, {}), "/allOf"
    ),
    "not": Feature({**SMALL, "not": {"const": 2}}, (1, 3), (2,), "/not"),
    "if-then-else": Feature(
        _object(**{"if": {"required": ["a"]}, "then": {"required": ["b"]}}),
        (BOTH, {"b": True}),
        ({"a": 1},),
        "/if",
    ),
    "ref": Feature(
        {"$defs": {"s": SMALL}, "type": "array", "items": {"$ref": "#/$defs/s"}, "maxItems": 3},
        ([1], [1, 2, 3]),
        ([9], ["x"]),
        "/items/$ref",
    ),
    "recursion": Feature(
        {
            "$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}, "maxItems": 2}},
            "$ref": "#/$defs/t",
        },
        ([], [[], [[]]]),
        ([1], [[], [], []]),
        "/$ref",
    ),
}
FEATURES: dict[str, Feature] = {**SCALARS, **OBJECTS, **ARRAYS, **COMBINED}
