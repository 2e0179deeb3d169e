"""SamplingParams: every bad value is refused by the name of its field."""

from __future__ import annotations

import math
from typing import Any

import pytest

from inferd.errors import RequestError
from inferd.params import MAX_TOKEN_LIST, SamplingParams
from inferd.structured_outputs import MAX_CHOICES, MAX_GRAMMAR_CHARS, StructuredOutputs

NUMBERS = ["1", None, True, math.nan, math.inf, [1]]
COUNTS = ["1", True, 1.5, -2]
BAD: dict[str, list[Any]] = {
    "n": [*COUNTS, None, 0, 129],
    "temperature": [*NUMBERS, -0.1, 2.1],
    "top_k": [*COUNTS, None, 2**31],
    "top_p": [*NUMBERS, 0.0, -0.1, 1.1],
    "min_p": [*NUMBERS, -0.1, 1.1],
    "repetition_penalty": [*NUMBERS, 0.0, 10.1],
    "presence_penalty": [*NUMBERS, -2.1, 2.1],
    "frequency_penalty": [*NUMBERS, -2.1, 2.1],
    "seed": ["1", True, 1.5, 2**63, -(2**63) - 1],
    "max_tokens": [*COUNTS, 0],
    "min_tokens": [*COUNTS, None, 17],
    "stop": [5, [5], [""], ["x" * 257], ["x"] * 17, ("x",)],
    "stop_token_ids": [5, ["5"], [-1], [True], [1.0], [1] * (MAX_TOKEN_LIST + 1)],
    "include_stop_str_in_output": [None, 1, "yes"],
    "ignore_eos": [None, 0, "no"],
    "logit_bias": [[5], {"5": 1.0}, {-1: 1.0}, {5: 101}, {5: math.nan}, {5: None}, {True: 1.0}],
    "allowed_token_ids": [5, [], [-1], ["5"], [1] * (MAX_TOKEN_LIST + 1)],
    "bad_words": ["word", [""], [5], ["x" * 257], ["x"] * 129],
    "logprobs": [*COUNTS, 21],
    "prompt_logprobs": [*COUNTS, 21],
    "detokenize": [None, 1],
    "skip_special_tokens": [None, 0],
    "structured_outputs": [5, "[a-z]+", {"regex": "a"}],
}
GOOD: dict[str, list[Any]] = {
    "n": [1, 128],
    "temperature": [0, 0.0, 2],
    "top_k": [-1, 0, 1, 2**31 - 1],
    "top_p": [1e-9, 1],
    "min_p": [0, 1.0],
    "repetition_penalty": [0.01, 10],
    "presence_penalty": [-2, 2],
    "frequency_penalty": [-2.0, 2.0],
    "seed": [None, 0, 2**63 - 1, -(2**63)],
    "max_tokens": [None, 1, 2**31 - 1],
    "min_tokens": [0, 16],
    "stop": [None, "x", [], ["x"] * 16],
    "stop_token_ids": [None, [], [0]],
    "logit_bias": [None, {}, {0: -100}, {5: 100.0}],
    "allowed_token_ids": [None, [0]],
    "bad_words": [None, [], ["x"] * 128],
    "logprobs": [None, 0, 20],
    "prompt_logprobs": [None, 0, 20],
    "detokenize": [True, False],
}


def pairs(table: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(name, value, id=f"{name}-{place}")
        for name, values in table.items()
        for place, value in enumerate(values)
    ]


@pytest.mark.parametrize(("name", "value"), pairs(BAD))
def test_bad_values(name: str, value: Any) -> None:
    with pytest.raises(RequestError, match=rf"^{name} ") as caught:
        SamplingParams(**{name: value})
    assert caught.value.param == name


def test_every_field_has_bad_values() -> None:
    assert set(BAD) == set(SamplingParams.__struct_fields__)


@pytest.mark.parametrize(("name", "value"), pairs(GOOD))
def test_good_values(name: str, value: Any) -> None:
    SamplingParams(**{name: value})


def test_none_is_nothing_where_vllm_takes_it() -> None:
    made = SamplingParams(stop=None, stop_token_ids=None, bad_words=None, logit_bias=None)
    assert made == SamplingParams()
    assert SamplingParams(stop="x").stop == ["x"]


def test_stop_strings_need_text() -> None:
    with pytest.raises(RequestError, match="detokenize") as caught:
        SamplingParams(stop=["x"], detokenize=False)
    assert caught.value.param == "stop"


@pytest.mark.parametrize(("temperature", "greedy"), [(0, True), (1e-6, True), (1e-4, False)])
def test_next_to_no_temperature_is_greedy(temperature: float, greedy: bool) -> None:
    """Logits over it would leave float32."""
    assert SamplingParams(temperature=temperature).greedy is greedy


WRONG: list[dict[str, Any]] = [
    {},
    {"regex": "a", "json_object": True},
    {"regex": 5},
    {"regex": ""},
    {"regex": "a" * (MAX_GRAMMAR_CHARS + 1)},
    {"json": {"type": "object"}},
    {"choice": ()},
    {"choice": ["a"]},
    {"choice": ("a", "")},
    {"choice": ("a",) * (MAX_CHOICES + 1)},
    {"choice": ("a" * 1000,) * 200},
    {"json_object": 1},
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(wrong)[:40])
def test_structured_outputs_are_just_one_thing_of_a_bearable_size(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"^structured_outputs: ") as caught:
        StructuredOutputs(**wrong)
    assert caught.value.param == "structured_outputs"


@pytest.mark.parametrize("other", [{"ignore_eos": True}, {"min_tokens": 1}])
def test_structured_outputs_end_where_they_are_complete(other: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="complete") as caught:
        SamplingParams(structured_outputs=StructuredOutputs(regex="a"), **other)
    assert caught.value.param == "structured_outputs"
