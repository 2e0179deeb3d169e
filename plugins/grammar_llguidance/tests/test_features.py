"""Whatever is let through satisfies its schema, by another library's judgement."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs
from inferd.testing.grammar_cases import vocabulary
from inferd.testing.grammar_features import FEATURES
from inferd.testing.grammar_texts import texts
from inferd_grammar_llguidance.backend import LlguidanceBackend


@pytest.fixture(scope="module")
def backend() -> LlguidanceBackend:
    return LlguidanceBackend(vocabulary())


@pytest.mark.parametrize("keyword", FEATURES)
def test_drawn_texts_satisfy_the_schema(backend: LlguidanceBackend, keyword: str) -> None:
    schema = FEATURES[keyword].schema
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    try:
        grammar = backend.compile(StructuredOutputs(json=json.dumps(schema)))
    except RequestError:
        return  # the contract says which may be
    found = list(texts(backend, grammar))
    assert len(found) > 10
    for text in found:
        plain = text.decode().replace(":60", ":59")  # a leap second may stand in any minute here
        assert validator.is_valid(json.loads(plain)), text
