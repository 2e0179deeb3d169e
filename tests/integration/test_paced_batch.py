"""A batch of answers that differ in length, in steps of few tokens."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from inferd import LLM, SamplingParams
from inferd.engine.outputs import CompletionOutput
from inferd.errors import RequestError
from inferd.types import Request

GREEDY = SamplingParams(temperature=0.0, max_tokens=6, ignore_eos=True)
PROMPTS = [[5 + i] * 5 for i in range(3)]
PARAMS = [replace(GREEDY, max_tokens=n) for n in (4, 40, 3)]


@pytest.fixture
def steps(shared_llm: LLM, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Tokens of each step and rows that begin in it; a pace is of 7 tokens."""
    monkeypatch.setattr("inferd.engine.pacing.PACES", (7,))
    steps: list[tuple[int, int]] = []
    submit = shared_llm._engine._executor.forward
    monkeypatch.setattr(
        shared_llm._engine._executor,
        "forward",
        lambda plan: (steps.append((plan.total_tokens, len(plan.new_rows))), submit(plan)),
    )
    return steps


@pytest.fixture
def alone(shared_llm: LLM) -> list[CompletionOutput]:
    """The answers of requests that nothing runs beside."""
    outputs = [shared_llm.generate(*each)[0] for each in zip(PROMPTS, PARAMS, strict=True)]
    return [output.outputs[0] for output in outputs]


def test_the_longest_begin_first(
    shared_llm: LLM, alone: list[CompletionOutput], steps: list[tuple[int, int]]
) -> None:
    """Steps have as many tokens as the batch's pace says; answers come in the order of prompts."""
    paced = shared_llm.generate(PROMPTS, PARAMS)
    assert [output.outputs[0] for output in paced] == alone
    assert max(tokens for tokens, _ in steps) == 7 and sum(rows for _, rows in steps) == 3


@pytest.mark.parametrize("how", ["token", "string"])
def test_an_answer_that_ends_early_ends_the_pace(
    shared_llm: LLM, alone: list[CompletionOutput], steps: list[tuple[int, int]], how: str
) -> None:
    ends: dict[str, Any] = {"stop_token_ids": alone[1].token_ids[:1]}
    if how == "string":
        ends = {"stop": [alone[1].text[:1]]}
    params = [PARAMS[0], replace(PARAMS[1], **ends), PARAMS[2], replace(GREEDY, max_tokens=2)]
    outputs = shared_llm.generate([*PROMPTS, [9] * 60], params)
    assert outputs[1].outputs[0].finish_reason == "stop"
    assert max(tokens for tokens, _ in steps) > 7


def test_a_batch_that_is_refused_leaves_no_pace(
    shared_llm: LLM, steps: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one that was answered."""
    add = shared_llm._engine.add

    def refusing(request: Request) -> None:
        if request.params.max_tokens == 3:
            raise RequestError("no")
        add(request)

    with monkeypatch.context() as patch, pytest.raises(RequestError):
        patch.setattr(shared_llm._engine, "add", refusing)
        shared_llm.generate(PROMPTS, PARAMS)
    for token in (30, 31):  # the prefix cache has neither
        steps.clear()
        shared_llm.generate([[token] * 20], GREEDY)
        assert max(tokens for tokens, _ in steps) == 20
        shared_llm.generate(PROMPTS, PARAMS)
