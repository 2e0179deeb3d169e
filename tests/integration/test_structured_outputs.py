"""Structured outputs through LLM: a tiny model, whose text is noise, still keeps to the grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from inferd import LLM, SamplingParams, StructuredOutputs
from inferd_grammar_llguidance.backend import LlguidanceMatcher

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]{1,8}$"},
        "size": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
    },
    "required": ["name", "size", "tags"],
    "additionalProperties": False,
}
WANTED = [
    StructuredOutputs(json=json.dumps(SCHEMA)),
    StructuredOutputs(regex="[A-Z][a-z]{3,8} is [0-9]{2}"),
    StructuredOutputs(choice=("yes", 'no "x"', "maybe")),
    None,
]


def params(wanted: StructuredOutputs | None, **rest: Any) -> SamplingParams:
    given: dict[str, Any] = {"temperature": 1.0, "seed": 3, "max_tokens": 120, **rest}
    return SamplingParams(structured_outputs=wanted, **given)


def check(text: str, wanted: StructuredOutputs | None) -> None:
    if wanted is None:
        return
    if wanted.regex is not None:
        assert re.fullmatch(wanted.regex, text)
    elif wanted.choice is not None:
        assert text in wanted.choice
    else:
        found = json.loads(text)
        assert list(found) == ["name", "size", "tags"]
        assert re.fullmatch("[a-z]{1,8}", found["name"])
        assert 0 <= found["size"] <= 99
        assert set(found["tags"]) <= {"a", "b"}
        assert len(found["tags"]) <= 3


def test_every_output_is_what_was_asked_for(shared_llm: LLM) -> None:
    for temperature in (0.0, 1.0):
        asked = [params(wanted, temperature=temperature, n=4) for wanted in WANTED]
        outputs = shared_llm.generate(["Describe it."] * len(WANTED), asked, use_tqdm=False)
        for output, wanted in zip(outputs, WANTED, strict=True):
            for sample in output.outputs:
                assert wanted is None or sample.finish_reason == "stop", sample
                check(sample.text, wanted)


@pytest.mark.parametrize("options", [{}, {"num_blocks": 24, "max_num_batched_tokens": 64}])
def test_running_ahead_changes_nothing(make_llm: Callable[..., LLM], options: Any) -> None:
    """Preemption included: few blocks make the second engine give way."""
    prompts = ["Describe it.", "What?", "x" * 40, "Free text: "] * 2
    asked = [params(wanted, n=2) for wanted in WANTED] * 2
    found = []
    for ahead in (True, False):
        llm = make_llm(async_scheduling=ahead, **options)
        outputs = llm.generate(prompts, asked, use_tqdm=False)
        found.append([sample.token_ids for output in outputs for sample in output.outputs])
    assert found[0] == found[1]


def test_what_is_forced_is_what_would_be_sampled(
    shared_llm: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = StructuredOutputs(json=json.dumps(SCHEMA))
    asked = [params(wanted, n=2), params(wanted, presence_penalty=1.0), params(wanted, logprobs=0)]
    outputs = shared_llm.generate(["Describe it."] * 3, asked, use_tqdm=False)
    steps = [steps_of(shared_llm, each) for each in asked[1:]]
    (scored,) = outputs[2].outputs
    assert len(scored.logprobs or ()) == len(scored.token_ids), "all of them are sampled"

    monkeypatch.setattr(LlguidanceMatcher, "forced", lambda _: [])
    sampled = shared_llm.generate(["Describe it."] * 3, asked, use_tqdm=False)
    for output, other in zip(outputs, sampled, strict=True):
        assert [o.token_ids for o in output.outputs] == [o.token_ids for o in other.outputs]
    assert steps[0] < steps_of(shared_llm, asked[1])
    assert steps[1] == steps_of(shared_llm, asked[2])


def steps_of(llm: LLM, asked: SamplingParams) -> int:
    before = llm.stats().num_steps
    llm.generate("Describe it.", asked, use_tqdm=False)
    return llm.stats().num_steps - before


def test_with_penalties_bias_and_stop_strings(shared_llm: LLM) -> None:
    wanted = StructuredOutputs(regex="[ab]{30}")
    biased = params(wanted, logit_bias={ord("b"): 5.0}, presence_penalty=1.0, logprobs=2)
    sample = shared_llm.generate("x", biased, use_tqdm=False)[0].outputs[0]
    check(sample.text, wanted)
    assert sample.logprobs is not None
    assert len(sample.logprobs) == len(sample.token_ids)
    stopped = shared_llm.generate("x", params(wanted, stop=["ab", "ba"]), use_tqdm=False)[0]
    assert re.fullmatch("a*|b*", stopped.outputs[0].text)


def test_what_cannot_be_enforced_fails_alone(shared_llm: LLM) -> None:
    asked = [params(StructuredOutputs(json='{"not": {}}')), params(WANTED[2])]
    bad, good = shared_llm.generate(["x", "x"], asked, use_tqdm=False)
    assert bad.outputs[0].finish_reason == "error"
    assert "/not" in (bad.outputs[0].error or "")
    check(good.outputs[0].text, WANTED[2])
