"""Seeds, n samples of one prompt, and who shares which blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prompts import random_prompts

from inferd import LLM, SamplingParams
from inferd.types import StepPlan

BLOCK = 16
PROMPT = random_prompts(BLOCK * 3 + 5, seed=5)[0]
OTHERS = random_prompts(3, 20, 50, 70, seed=6)


def sampling(seed: int = 11, n: int = 1, **params: Any) -> SamplingParams:
    return SamplingParams(
        **{"temperature": 1.0, "max_tokens": 20, "ignore_eos": True, "n": n, "seed": seed} | params
    )


def samples(llm: LLM, params: SamplingParams) -> list[list[int]]:
    (output,) = llm.generate([PROMPT], params)
    return [sample.token_ids for sample in output.outputs]


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`plans(llm)`: every plan the LLM submits from now on."""

    def watch(llm: LLM) -> list[StepPlan]:
        seen: list[StepPlan] = []
        submit = llm._engine._executor.forward

        def forward(plan: StepPlan) -> None:
            seen.append(plan)
            submit(plan)

        monkeypatch.setattr(llm._engine._executor, "forward", forward)
        return seen

    yield watch


@pytest.mark.parametrize("filters", [{}, {"top_p": 0.8}, {"top_k": 20, "min_p": 0.01}], ids=str)
def test_a_seed_gives_the_same_tokens_in_any_company(make_llm: Any, filters: Any) -> None:
    params = sampling(**filters)
    (alone,) = samples(make_llm(max_num_seqs=1, async_scheduling=False), params)
    for options in (
        {},
        {"async_scheduling": False},
        {"max_num_batched_tokens": 24},
        {"enable_prefix_caching": False},
    ):
        llm = make_llm(**options)
        mixed = [sampling(i, temperature=i / 2, max_tokens=8 * (i + 1)) for i in range(4)]
        outputs = llm.generate([*OTHERS, PROMPT], [*mixed, params])
        assert outputs[-1].outputs[0].token_ids == alone, options


def test_a_seed_gives_the_same_tokens_after_preemption(make_llm: Any) -> None:
    params = sampling(max_tokens=60)
    (alone,) = samples(make_llm(max_num_seqs=1), params)
    tight = make_llm(num_blocks=15, max_model_len=128)
    outputs = tight.generate([*OTHERS, PROMPT], params)  # the last is the first victim
    assert tight._engine.stats().num_preemptions > 0
    assert outputs[-1].outputs[0].token_ids == alone


def test_other_seeds_and_no_seed_give_other_tokens(make_llm: Any) -> None:
    llm = make_llm()
    found = {tuple(samples(llm, sampling(seed))[0]) for seed in (1, 2, 2**63 - 1, -(2**63))}
    found |= {tuple(samples(llm, SamplingParams(max_tokens=20, ignore_eos=True))[0]) for _ in "ab"}
    assert len(found) == 6


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("caching", [True, False])
def test_samples_are_those_that_run_one_after_the_other(
    make_llm: Any, ahead: bool, caching: bool
) -> None:
    options = {"async_scheduling": ahead, "enable_prefix_caching": caching}
    together = samples(make_llm(**options), sampling(n=5))
    in_turn = samples(make_llm(max_num_seqs=1, **options), sampling(n=5))
    assert together == in_turn
    assert len({tuple(sample) for sample in together}) == 5
    assert together[:1] == samples(make_llm(**options), sampling(n=1))


def test_samples_share_full_prompt_blocks_and_copy_the_last(make_llm: Any, plans: Any) -> None:
    """Without a prefix cache, so that only siblings can share."""
    llm = make_llm(enable_prefix_caching=False)
    seen = plans(llm)
    samples(llm, sampling(n=4, max_tokens=6))
    starts = [start for plan in seen for start in plan.new_rows]
    assert [start.index for start in starts] == [0, 1, 2, 3]
    tables = [start.block_ids[0] for start in starts]
    assert [table[:3] for table in tables] == [tables[0][:3]] * 4
    lasts = [table[3] for table in tables]
    assert len(set(lasts)) == 4
    copies = [copy for plan in seen for copy in plan.copies]
    assert copies == [(lasts[0], last) for last in lasts[1:]]
    computed = sum(plan.total_tokens for plan in seen)
    assert computed == len(PROMPT) + 3 + 4 * 5  # siblings compute the last prompt token only
    assert llm._engine.stats().num_blocks_used == 0


def test_blocks_of_running_samples(make_llm: Any) -> None:
    llm = make_llm()
    request = llm._inputs.request("r", PROMPT, sampling(n=4, max_tokens=6))
    llm._engine.add(request)
    used = set()
    while llm._engine.has_work:
        llm._engine.step()
        used.add(llm._engine.stats().num_blocks_used)
    assert max(used) == 3 + 4


def test_samples_survive_preemption(make_llm: Any) -> None:
    params = sampling(n=6, max_tokens=50)
    alone = samples(make_llm(max_num_seqs=1), params)
    tight = make_llm(num_blocks=13, max_model_len=128)
    assert samples(tight, params) == alone
    assert tight._engine.stats().num_preemptions > 0


def test_a_salt_keeps_the_cache_apart(make_llm: Any) -> None:
    llm = make_llm()
    ask = SamplingParams(temperature=0.0, max_tokens=4)
    hits = [
        llm.generate({"prompt_token_ids": PROMPT, "cache_salt": salt}, ask)[0].num_cached_tokens
        for salt in ("a", "a", "b", "", "a")
    ]
    assert hits == [0, 48, 0, 0, 48]
    llm.reset_prefix_cache()
    assert llm.generate({"prompt_token_ids": PROMPT}, ask)[0].num_cached_tokens == 0
