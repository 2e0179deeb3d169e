"""xgrammar keeps the contract; what it would read over is refused with its place."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest

from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs
from inferd.testing import GrammarContract
from inferd.testing.grammar_cases import ids, vocabulary
from inferd.testing.grammar_contract import allowed
from inferd.testing.grammar_features import FEATURES
from inferd.testing.grammar_texts import texts
from inferd_grammar_xgrammar.backend import XgrammarBackend


class TestContract(GrammarContract):
    plugin = "grammar_xgrammar"
    backend = "xgrammar"
    refuses = {
        "lookahead",
        "format-date",
        "format-date-time",
        "format-ipv4",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
        "uniqueItems",
        "contains",
        "oneOf-overlap",
        "allOf",
        "allOf-objects",
        "not",
        "if-then-else",
    }


@pytest.fixture(scope="module")
def backend() -> XgrammarBackend:
    return XgrammarBackend(vocabulary())


@pytest.mark.parametrize("keyword", [name for name in FEATURES if name not in TestContract.refuses])
def test_drawn_texts_satisfy_the_schema(backend: XgrammarBackend, keyword: str) -> None:
    schema = FEATURES[keyword].schema
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    grammar = backend.compile(StructuredOutputs(json=json.dumps(schema)))
    found = list(filter(None, map(_decoded, texts(backend, grammar))))
    assert len(found) > 10
    for text in found:
        plain = text.replace(":60", ":59")  # a leap second may stand in any minute here
        assert validator.is_valid(json.loads(plain)), text


def _decoded(text: bytes) -> str | None:
    """The library lets halves of surrogate pairs through, which are no UTF-8; no other bytes."""
    found = text.decode(errors="surrogatepass")
    return None if re.search("[\ud800-\udfff]", found) else found


SMALL = {"type": "integer", "minimum": 0, "maximum": 3}
UNENFORCED: list[tuple[Any, str]] = [
    ({"minimum": 3}, "/minimum"),
    ({"type": "wizard"}, "/type"),
    ({"$defs": {"s": SMALL}, "$ref": "#/$defs/s", "maximum": 1}, "/maximum"),
    ({"$ref": "https://a/b"}, "/$ref"),
    ({"$ref": "#/nowhere"}, "/$ref"),
    ({"anyOf": [SMALL, {"not": {}}], "type": "integer"}, "/type, /anyOf/1/not"),
    ({"type": "string", "enum": ["x", 1]}, "/enum"),
    ({"type": "boolean", "const": 1}, "/const"),
    ({"type": "string", "pattern": "^a*$", "minLength": 2}, "/minLength"),
    ({"type": "string", "format": "email"}, "/format"),
    ({"type": "number", "multipleOf": 0.5}, "/multipleOf"),
    ({"type": "integer", "multipleOf": 1025}, "/multipleOf"),
    ({"type": "array", "items": [SMALL]}, "/items"),
    ({"type": "array", "items": {"type": "array", "uniqueItems": True}}, "/items/uniqueItems"),
    ({"type": "object", "properties": {"a/b": {"not": {}}}}, "/properties/a~1b/not"),
    ({"type": "object", "properties": {"a": SMALL}, "required": ["b"]}, "/required"),
    ({"type": "object", "patternProperties": {"^a$": SMALL}}, "/patternProperties"),
    ({"type": "object", "additionalProperties": SMALL, "minProperties": 2}, "/minProperties"),
    ({"type": "object", "properties": {"not": False}}, "/properties/not"),
]


@pytest.mark.parametrize(("schema", "places"), UNENFORCED, ids=[p for _, p in UNENFORCED])
def test_what_would_be_read_over_is_named(
    backend: XgrammarBackend, schema: Any, places: str
) -> None:
    with pytest.raises(RequestError) as caught:
        backend.compile(StructuredOutputs(json=json.dumps(schema)))
    assert str(caught.value).endswith(f": {places}")


@pytest.mark.parametrize(
    "pattern",
    [
        "(?!b)[ab]",
        "(?<=a)b",
        "(?i)a",
        '["]',
        r"a\\b",
        r"\n",
        "a$b",
        "a|^b",
        "a{129}",
        "(.{99}){99}",
    ],
)
def test_patterns_that_would_be_read_over(backend: XgrammarBackend, pattern: str) -> None:
    with pytest.raises(RequestError, match="/pattern"):
        backend.compile(StructuredOutputs(json=json.dumps({"type": "string", "pattern": pattern})))


@pytest.mark.parametrize("pattern", ["^ab$", "a[^b]", "[$]a", r"\$1", "(?:a|b){2}"])
def test_patterns_that_are_kept_to(backend: XgrammarBackend, pattern: str) -> None:
    schema = {"type": "string", "pattern": pattern}
    validator = jsonschema_rs.Draft202012Validator(schema)
    grammar = backend.compile(StructuredOutputs(json=json.dumps(schema)))
    found = list(filter(None, map(_decoded, texts(backend, grammar))))
    assert found
    assert all(validator.is_valid(json.loads(text)) for text in found)


HOSTILE = {
    "not JSON": StructuredOutputs(json="no"),
    "deep": StructuredOutputs(json='{"type":"array","items":' * 3000 + "{}" + "}" * 3000),
    "wide": StructuredOutputs(json=json.dumps({"anyOf": [{"type": "null"}] * 5000})),
    "endless": StructuredOutputs(json='{"$ref": "#"}'),
    "a class without end": StructuredOutputs(
        json=json.dumps({"type": "string", "pattern": "[" + r"\d" * 64})
    ),
    "look-ahead": StructuredOutputs(regex="(?=a)b"),
    "two stars": StructuredOutputs(regex="foo**"),
    "open": StructuredOutputs(regex="a("),
    "repeats": StructuredOutputs(regex="((a{1000}){1000}){1000}"),
    "long": StructuredOutputs(regex="(?:ab|cd)*" * 60),
    "long in Lark": StructuredOutputs(grammar="start: " + "a " * 4096 + '\na: "x"'),
    "nobody": StructuredOutputs(grammar="start: nobody"),
    "look-ahead in Lark": StructuredOutputs(grammar="start: /(?=a)b/"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_wrong_or_too_much_is_refused(backend: XgrammarBackend, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        backend.compile(HOSTILE[name])
    assert len(str(caught.value)) < 2000


def test_a_matcher_that_was_led_astray_allows_nothing(backend: XgrammarBackend) -> None:
    matcher = backend.compile(StructuredOutputs(regex="a+")).start()
    assert allowed(backend, matcher).any()
    assert not matcher.accept(ids("b")[0])
    assert not allowed(backend, matcher).any()
