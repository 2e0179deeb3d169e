"""No keyword of a JSON schema is ignored silently: each is enforced, or refused by its name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from tokenizers import Tokenizer

from inferd.contracts.grammar import Grammar
from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs
from inferd.testing.grammar_contract import EOS, allowed, vocabulary
from inferd_grammar_llguidance.backend import LlguidanceBackend

MOST_TOKENS = 400
NUM_TEXTS = 40
SMALL = {"type": "integer", "minimum": 0, "maximum": 3}


def _object(**rest: Any) -> dict[str, Any]:
    properties = {"a": SMALL, "b": {"type": "boolean"}}
    return {"type": "object", "properties": properties, "additionalProperties": False, **rest}


ENFORCED: dict[str, dict[str, Any]] = {
    "type": {"type": ["null", "boolean"]},
    "enum": {"enum": ["x", 1, None, {"a": [1]}]},
    "const": {"const": {"a": 1}},
    "required": _object(required=["b"]),
    "additionalProperties": _object(),
    "additionalProperties-schema": {"type": "object", "additionalProperties": SMALL},
    "patternProperties": {
        "type": "object",
        "patternProperties": {"^[ab]$": SMALL},
        "additionalProperties": False,
    },
    "minimum": {"type": "integer", "minimum": 7, "maximum": 12},
    "exclusiveMinimum": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "multipleOf": {"type": "integer", "multipleOf": 3, "minimum": 0, "maximum": 99},
    "minLength": {"type": "string", "minLength": 2, "maxLength": 4},
    "pattern": {"type": "string", "pattern": "^[a-f]{3}$"},
    "format-date": {"type": "string", "format": "date"},
    "format-time": {"type": "string", "format": "time"},
    "format-date-time": {"type": "string", "format": "date-time"},
    "format-uuid": {"type": "string", "format": "uuid"},
    "format-ipv4": {"type": "string", "format": "ipv4"},
    "items": {"type": "array", "items": SMALL, "maxItems": 4},
    "prefixItems": {"type": "array", "prefixItems": [SMALL, {"type": "null"}], "items": False},
    "minItems": {"type": "array", "items": SMALL, "minItems": 2, "maxItems": 3},
    "anyOf": {"anyOf": [SMALL, {"type": "null"}]},
    "allOf": {"allOf": [{"type": "integer", "minimum": 2}, {"maximum": 4}]},
    "allOf-objects": {"allOf": [_object(), {"required": ["a", "b"]}]},
    "ref": {"$defs": {"s": SMALL}, "type": "array", "items": {"$ref": "#/$defs/s"}, "maxItems": 3},
    "recursion": {
        "$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}, "maxItems": 2}},
        "$ref": "#/$defs/t",
    },
    "minProperties": _object(minProperties=1),
}
HARD: dict[str, dict[str, Any]] = {  # enforced or refused, as the library's version has it
    "uniqueItems": {"type": "array", "items": SMALL, "uniqueItems": True, "maxItems": 4},
    "not": {"type": "integer", "minimum": 0, "maximum": 3, "not": {"const": 2}},
    "if-then-else": _object(**{"if": {"required": ["a"]}, "then": {"required": ["b"]}}),
    "dependentRequired": _object(dependentRequired={"a": ["b"]}),
    "dependentSchemas": _object(dependentSchemas={"a": {"required": ["b"]}}),
    "oneOf-overlap": {"oneOf": [SMALL, {"type": "integer", "minimum": 2, "maximum": 5}]},
    "propertyNames": {
        "type": "object",
        "propertyNames": {"pattern": "^[xy]$"},
        "additionalProperties": SMALL,
    },
    "contains": {"type": "array", "items": SMALL, "contains": {"const": 3}, "maxItems": 3},
    "maxProperties": {"type": "object", "additionalProperties": SMALL, "maxProperties": 1},
    "unevaluatedProperties": {**_object(), "unevaluatedProperties": False},
    "lookahead": {"type": "string", "pattern": "^(?=a)[ab]{2}$"},
}


@pytest.fixture(scope="module")
def backend() -> LlguidanceBackend:
    return LlguidanceBackend(vocabulary())


def texts(backend: LlguidanceBackend, grammar: Grammar, seed: int) -> Iterator[str]:
    """What the masks let through, drawn at random; what does not end in time is left out."""
    random = Random(seed)
    for _ in range(NUM_TEXTS):
        matcher, output = grammar.start(), bytearray()
        for _ in range(MOST_TOKENS):
            mask = allowed(backend, matcher)
            if mask[EOS] and (not mask[:256].any() or random.random() < 0.4):
                yield output.decode()
                break
            token = random.choice(np.flatnonzero(mask[:256]).tolist())
            output += BYTES[token]
            assert matcher.accept(token)


def _decoded(piece: str) -> bytes:
    """A byte-level token: printable Latin-1 stands for itself, the others follow from 256 on."""
    code = ord(piece)
    if code < 256:
        return bytes([code])
    itself = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in itself]
    return bytes([others[code - 256]])


_TOKENIZER = Tokenizer.from_str(vocabulary().tokenizer_json)
BYTES = [_decoded(_TOKENIZER.id_to_token(token)) for token in range(256)]


def check(backend: LlguidanceBackend, schema: dict[str, Any]) -> int:
    """Every text that is let through must satisfy the schema; returns how many there were."""
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    grammar = backend.compile(StructuredOutputs(json=json.dumps(schema)))
    found = list(texts(backend, grammar, seed=1))
    for text in found:
        plain = text.replace(":60", ":59")  # a leap second may stand in any minute here
        assert validator.is_valid(json.loads(plain)), text
    return len(found)


@pytest.mark.parametrize("feature", ENFORCED)
def test_it_is_enforced(backend: LlguidanceBackend, feature: str) -> None:
    assert check(backend, ENFORCED[feature]) > NUM_TEXTS // 4


@pytest.mark.parametrize("feature", HARD)
def test_it_is_enforced_or_refused(backend: LlguidanceBackend, feature: str) -> None:
    try:
        num_texts = check(backend, HARD[feature])
    except RequestError as error:
        assert error.param == "structured_outputs"
        return
    assert num_texts
