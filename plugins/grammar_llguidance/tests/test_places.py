"""Outputs at the same place may go on in the same ways: masks that are kept are those of now."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from inferd.contracts.grammar import Grammar
from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs
from inferd.testing.grammar_cases import EOS, SIZE, ids, vocabulary
from inferd.testing.grammar_features import FEATURES
from inferd_grammar_llguidance.backend import LlguidanceBackend
from inferd_grammar_llguidance.kept_masks import KeptMasks
from inferd_grammar_llguidance.places import MOST_BYTES, Key, Place, rules_of

ENDS = {*b'"]},', EOS}
STRING = {"type": "string", "minLength": 2, "maxLength": 5}
NODE = {
    "type": "object",
    "properties": {
        "v": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]},
    },
    "required": ["v", "next"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, Any] = {
    "lengths": {
        "type": "object",
        "properties": {"a": STRING, "b": {"type": "array", "items": STRING, "maxItems": 3}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    "literals": {
        "type": "array",
        "items": {"anyOf": [{"enum": ["one", "other", 7, None]}, STRING, {"type": "boolean"}]},
        "maxItems": 4,
    },
    "objects": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"x": {"type": "number", "minimum": 0, "maximum": 20}, "y": STRING},
            "additionalProperties": False,
        },
        "minItems": 1,
        "maxItems": 3,
    },
    "recursion": {"$defs": {"n": NODE}, "$ref": "#/$defs/n"},
    "other keys": {
        "type": "object",
        "properties": {"ab": {"const": "é"}},
        "additionalProperties": {"type": "string", "maxLength": 3},
    },
    "tuple": {"type": "array", "prefixItems": [STRING, {"multipleOf": 3}], "items": False},
    "contents": {
        "type": "array",
        "items": {"anyOf": [{"type": "string", "pattern": "^a+b$"}, STRING]},
        "maxItems": 3,
    },
    "anything": {"type": "object"},
}
WITHOUT: dict[str, Any] = {
    "a choice of objects": {
        "anyOf": [
            {"type": "object", "properties": {"a": {"type": "string", "maxLength": 2}}},
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "null"}}},
        ]
    },
    "literal arrays": {"enum": [[1, "a"], [2, "b"]]},
    "names": {"type": "object", "patternProperties": {"^a": {"type": "string"}}},
    "a reference to an example": {"$ref": "#/examples/0", "examples": [{"not": {}}]},
    "all of several": {"allOf": [{"type": "string"}, {"maxLength": 4}]},
}


@pytest.fixture(scope="module")
def backend() -> LlguidanceBackend:
    return LlguidanceBackend(vocabulary())


def walk(backend: LlguidanceBackend, grammar: Grammar, rng: random.Random) -> int:
    """Draw a text, checking every mask; returns how many of them were kept ones."""
    matcher: Any = grammar.start()
    found_1W = np.zeros((1, -(-SIZE // 32)), dtype=np.int32)
    fresh_W, hits = np.zeros_like(found_1W[0]), 0
    for _ in range(80):
        hits += backend._masks.put(matcher.place, fresh_W)
        backend.fill([matcher], found_1W)
        matcher.matcher.deep_copy().unsafe_compute_mask_ptr(fresh_W.ctypes.data, fresh_W.nbytes)
        assert np.array_equal(found_1W[0], fresh_W), matcher.place
        allowed = np.flatnonzero(np.unpackbits(fresh_W.view(np.uint8), bitorder="little"))
        ends = [token for token in allowed if token in ENDS]
        token = int(rng.choice(ends if ends and rng.random() < 0.3 else list(allowed)))
        if token == EOS:
            break
        assert matcher.accept(token)
    return hits


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_kept_mask_is_what_would_be_computed(backend: LlguidanceBackend, name: str) -> None:
    grammar = backend.compile(StructuredOutputs(json=json.dumps(SCHEMAS[name])))
    hits = sum(walk(backend, grammar, random.Random(seed)) for seed in range(40))
    assert hits > 100


@pytest.mark.parametrize("name", FEATURES)
def test_so_it_is_whatever_a_schema_asks_for(backend: LlguidanceBackend, name: str) -> None:
    try:
        grammar = backend.compile(StructuredOutputs(json=json.dumps(FEATURES[name].schema)))
    except RequestError:
        return  # the contract says which may be
    for seed in range(8):
        walk(backend, grammar, random.Random(seed))


@pytest.mark.parametrize("name", WITHOUT)
def test_where_more_counts_there_are_no_places(name: str) -> None:
    assert rules_of(json.dumps(WITHOUT[name])) is None


@pytest.mark.parametrize(
    "part",
    [
        {"enum": 3},
        {"anyOf": True},
        {"properties": [1]},
        {"maxLength": "a"},
        {"minLength": None},
        {"$defs": 3},
        {"$ref": 3},
    ],
    ids=str,
)
def test_a_part_that_was_not_compiled_may_hold_anything(part: dict[str, Any]) -> None:
    assert rules_of(json.dumps({"type": "string", "items": part})) is None


def test_rules_of_long_literals_are_no_larger_than_the_schema() -> None:
    rules = rules_of(json.dumps({"enum": ["b" * 50_000, "a" * 50_000]}))
    assert rules is not None
    assert sum(map(len, rules.literals)) == 100_000
    assert [rules.begins_literal(text) for text in (b"", b"aa", b"b", b"ab", b"c")] == [
        *(True, True, True, False, False)
    ]


def place_of(text: str, schema: Any = SCHEMAS["lengths"]) -> Key | None:
    rules = rules_of(json.dumps(schema))
    assert rules is not None
    place = Place(rules)
    for piece in (text[:3], text[3:]):
        place.feed(piece.encode())
    return place.key()


def test_what_came_before_does_not_count() -> None:
    assert place_of('{"a":"xy","b":["12345","z') == place_of('{"a":"qwert","b":["ab","y')
    assert place_of('[{"x":12,"y":"ab"},{"y', SCHEMAS["objects"]) == (b"[{},{", b'"y')


def test_the_length_of_a_string_counts_up_to_the_largest_bound() -> None:
    assert place_of('{"a":"éé') == (b'{"a":', 2) == place_of('{"a":"xy')
    free = {"type": "array", "items": {"type": "string"}}
    assert place_of('["ab', free) == place_of('["abcdef', free)


def test_how_many_and_which_keys_came_before_counts() -> None:
    assert place_of('{"a":"xy","b":["aa",') != place_of('{"a":"xy","b":["aa","bb",')
    assert place_of('[{"x":1,', SCHEMAS["objects"]) != place_of('[{"y":"aa",', SCHEMAS["objects"])


def test_a_beginning_of_a_literal_counts_as_it_is() -> None:
    assert place_of('["on', SCHEMAS["literals"]) != place_of('["ox', SCHEMAS["literals"])
    assert place_of('["ax', SCHEMAS["literals"]) == place_of('["ox', SCHEMAS["literals"])


def test_where_a_place_is_not_known_there_is_none() -> None:
    assert place_of('{"a":"\\') is None
    assert place_of('["aa', SCHEMAS["contents"]) is None
    assert place_of("[" + '{"k":' * MOST_BYTES, SCHEMAS["anything"]) is None
    assert place_of('{"' + "k" * MOST_BYTES, SCHEMAS["anything"]) is None
    place = Place(rules_of(json.dumps(STRING)))  # type: ignore[arg-type]
    place.feed('"é'.encode()[:-1])
    assert place.key() is None


def test_masked_quotes_end_no_string() -> None:
    assert place_of('{"a":"x\\"\\\\","b":[') == (b'{"a":"","b":[', b"")


def test_masks_that_were_not_used_for_long_go_first() -> None:
    masks, words_W = KeptMasks(2 * 8), np.zeros(2, dtype=np.int32)
    for number, place in enumerate("ab"):
        masks.keep(place, np.full(2, number, dtype=np.int32))
    assert masks.put("a", words_W)
    masks.keep("c", np.full(2, 2, dtype=np.int32))
    assert [masks.put(place, words_W) for place in "abc"] == [True, False, True]
    assert words_W.tolist() == [2, 2]
    masks.keep(None, words_W)
    assert not masks.put(None, words_W)


def test_grammars_do_not_share_places(backend: LlguidanceBackend) -> None:
    first, second = (
        backend.compile(StructuredOutputs(json=json.dumps({"type": "string", "maxLength": most})))
        for most in (1, 2)
    )
    places = set()
    for grammar in (first, second):
        matcher: Any = grammar.start()
        for token in ids('"'):
            matcher.accept(token)
        places.add(matcher.place)
    assert len(places) == 2
