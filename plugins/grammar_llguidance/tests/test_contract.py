"""llguidance keeps the contract, and says where a schema asks for too much."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs
from inferd.testing import GrammarContract
from inferd.testing.grammar_cases import ids, vocabulary
from inferd.testing.grammar_contract import allowed
from inferd_grammar_llguidance.backend import LlguidanceBackend


class TestContract(GrammarContract):
    plugin = "grammar_llguidance"
    backend = "llguidance"
    refuses = {
        "lookahead",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
        "uniqueItems",
        "contains",
        "oneOf-overlap",
        "not",
        "if-then-else",
    }


@pytest.fixture(scope="module")
def backend() -> LlguidanceBackend:
    return LlguidanceBackend(vocabulary())


UNENFORCED: list[tuple[dict[str, Any], str]] = [
    ({"properties": {"not": {"not": {"type": "string"}}}}, "/properties/not/not"),
    ({"type": "array", "items": {"type": "array", "uniqueItems": True}}, "/items/uniqueItems"),
    ({"anyOf": [{"type": "null"}, {"if": {}, "then": {}}]}, "/anyOf/1/if, /anyOf/1/then"),
    ({"$defs": {"a/b": {"not": {}}}, "$ref": "#/$defs/a~1b"}, "/$defs/a~1b/not"),
    ({"dependentRequired": {"a": ["b"]}, "type": "object"}, "/dependentRequired"),
]


@pytest.mark.parametrize(("schema", "places"), UNENFORCED, ids=[p for _, p in UNENFORCED])
def test_keywords_that_cannot_be_enforced_are_named_with_their_place(
    backend: LlguidanceBackend, schema: dict[str, Any], places: str
) -> None:
    with pytest.raises(RequestError) as caught:
        backend.compile(StructuredOutputs(json=json.dumps(schema)))
    assert str(caught.value).endswith(f": {places}")


@pytest.mark.parametrize(
    "wanted",
    [
        StructuredOutputs(json="not JSON"),
        StructuredOutputs(json="[]"),
        StructuredOutputs(json='{"$ref": "#/nowhere"}'),
        StructuredOutputs(json='{"type": "string", "pattern": "(?=a)b"}'),
        StructuredOutputs(regex="(?<=a)b"),
        StructuredOutputs(grammar="start: nobody"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused(backend: LlguidanceBackend, wanted: StructuredOutputs) -> None:
    with pytest.raises(RequestError) as caught:
        backend.compile(wanted)
    assert len(str(caught.value)) < 2000


def test_what_would_take_too_long_is_refused(backend: LlguidanceBackend) -> None:
    grammar = f'start: {"(a|b)* " * 3000}\na: "x" a | "y"\nb: "x" b | "z"'
    with pytest.raises(RequestError, match="not usable: parser error: Too many items") as caught:
        backend.compile(StructuredOutputs(grammar=grammar))
    assert caught.value.code == "grammar_too_complex"


def test_a_matcher_that_was_led_astray_allows_nothing(backend: LlguidanceBackend) -> None:
    matcher = backend.compile(StructuredOutputs(regex="a+")).start()
    assert allowed(backend, matcher).any()
    assert not matcher.accept(ids("b")[0])
    assert not allowed(backend, matcher).any()


def test_so_does_one_whose_mask_was_kept(backend: LlguidanceBackend) -> None:
    grammar = backend.compile(StructuredOutputs(json='{"type": "string"}'))
    assert allowed(backend, grammar.start()).any()
    matcher = grammar.start()
    assert not matcher.accept(ids("b")[0])
    assert not allowed(backend, matcher).any()
