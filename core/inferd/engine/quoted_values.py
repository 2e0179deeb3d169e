"""Values in formats that quote texts in a way of their own: {a:[1,2],b:{c:<|"|>x<|"|>}}."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inferd.contracts.response_values import resolved
from inferd.engine.call_fields import NOTES, Field, refuse_loose, ways_of_fields
from inferd.errors import RequestError
from inferd.structured_outputs import too_complex

Structure = dict[str, Any]
MOST_DEPTH = 8
MOST_VALUES = 1024  # of a tool; references make many of few
DEFINED = {"$defs", "definitions"}
BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
WORDS = {
    "string": {"minLength", "maxLength"},
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems"},
    "integer": BOUNDS,
    "number": BOUNDS,
}
"""Of a schema, those that are enforced, by type."""


@dataclass(slots=True)
class QuotedValues:
    """How arguments of a tool may be written; `root` is the schema that holds them.

    Raises RequestError for what the format cannot be held to.
    """

    tool: str
    root: Mapping[str, Any]
    quote: str
    _left: int = MOST_VALUES

    def fields(
        self, schema: Mapping[str, Any], begin: str = "{key}:", depth: int = 0
    ) -> list[Field]:
        """One for each property; `begin` with its name stands before it."""
        return [
            {
                "begin": begin.replace("{key}", key),
                "end": "",
                "required": key in schema.get("required", ()),
                "one_of": self.structures(value, key, depth + 1),
            }
            for key, value in schema.get("properties", {}).items()
        ]

    def structures(self, schema: Any, place: str, depth: int) -> list[Structure]:
        """The ways to write what fits a schema, which stands at `place`."""
        self._left -= 1
        if depth > MOST_DEPTH or self._left < 0:
            raise too_complex(f"strict of {self.tool}: {place} holds too much", "tools")
        schema = resolved(schema, self.root)
        if not isinstance(schema, Mapping):
            text = f"strict of {self.tool}: {place} does not say what it holds"
            raise RequestError(text, "tools")
        if "anyOf" in schema:
            self._refuse(schema, place, {"anyOf"})
            ways = (self.structures(each, place, depth + 1) for each in schema["anyOf"])
            return [way for several in ways for way in several]
        if "const" in schema or "enum" in schema:
            self._refuse(schema, place, {"type", "enum", "const"})
            return self._choices([schema["const"]] if "const" in schema else schema["enum"])
        return self._typed(schema, place, depth)

    def _typed(self, schema: Mapping[str, Any], place: str, depth: int) -> list[Structure]:
        """What does not say what it is may be any text."""
        kinds = schema.get("type", "string")
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        words = {word for kind in kinds for word in WORDS.get(kind, ())}
        self._refuse(schema, place, words | {"type"})
        ways: list[Structure] = []
        if "string" in kinds:
            ways.append(self._text(text=[schema.get("minLength", 0), schema.get("maxLength")]))
        if "object" in kinds:
            ways += self._objects(schema, place, depth)
        if "array" in kinds:
            ways.append(self._array(schema, place, depth))
        if plain := [kind for kind in kinds if kind not in ("string", "object", "array")]:
            bounds = {word: schema[word] for word in schema.keys() & BOUNDS}
            ways.append({"begin": "", "schema": {"type": plain, **bounds}, "end": ""})
        return ways

    def _objects(self, schema: Mapping[str, Any], place: str, depth: int) -> list[Structure]:
        if not schema.get("properties"):
            refuse_loose(self.tool, place, {"an object without properties"})
        ways = ways_of_fields(self.fields(schema, depth=depth), ",")
        return [{"begin": "{", "fields": way, "end": "}"} for way in ways]

    def _array(self, schema: Mapping[str, Any], place: str, depth: int) -> Structure:
        least = schema.get("minItems", 0)
        if least not in (0, 1):
            refuse_loose(self.tool, place, {"minItems above 1"})
        items = self.structures(schema.get("items"), f"items of {place}", depth + 1)
        return {"begin": "[", "several": items, "between": ",", "least": least, "end": "]"}

    def _choices(self, values: list[Any]) -> list[Structure]:
        texts = [each for each in values if isinstance(each, str)]
        others = [each for each in values if not isinstance(each, str)]
        ways = [self._text(choices=texts)] if texts else []
        return [*ways, {"begin": "", "schema": {"enum": others}, "end": ""}] if others else ways

    def _text(self, **bounds: Any) -> Structure:
        text = {"begin": self.quote, "end": self.quote, "required": True, **bounds}
        return {"begin": "", "fields": [text], "end": ""}

    def _refuse(self, schema: Mapping[str, Any], place: str, words: set[str]) -> None:
        refuse_loose(self.tool, place, schema.keys() - words - NOTES - DEFINED)
