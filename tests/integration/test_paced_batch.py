"""A batch of answers that differ in length, in steps of few tokens."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from inferd import LLM, SamplingParams

GREEDY = SamplingParams(temperature=0.0, max_tokens=6, ignore_eos=True)


def test_the_longest_begin_first_until_an_answer_ends_early(
    shared_llm: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps have as many tokens as the batch's pace says; answers come in the order of prompts."""
    monkeypatch.setattr("inferd.engine.pacing.PACES", (7,))
    steps: list[tuple[int, int]] = []  # tokens, rows that begin
    submit = shared_llm._engine._executor.forward
    monkeypatch.setattr(
        shared_llm._engine._executor,
        "forward",
        lambda plan: (steps.append((plan.total_tokens, len(plan.new_rows))), submit(plan)),
    )
    prompts = [[5 + i] * 5 for i in range(3)]
    params = [replace(GREEDY, max_tokens=n) for n in (4, 40, 3)]
    alone = [shared_llm.generate(*each)[0].outputs for each in zip(prompts, params, strict=True)]
    steps.clear()
    paced = shared_llm.generate(prompts, params)
    assert [output.outputs for output in paced] == alone
    assert max(tokens for tokens, _ in steps) == 7 and sum(rows for _, rows in steps) == 3
    steps.clear()
    first = alone[1][0].token_ids[0]
    params[1] = replace(GREEDY, max_tokens=40, stop_token_ids=[first])
    shared_llm.generate([*prompts, [9] * 20], [*params, replace(GREEDY, max_tokens=2)])
    assert max(tokens for tokens, _ in steps) > 7
