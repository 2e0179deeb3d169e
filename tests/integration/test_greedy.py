"""Greedy tokens are transformers', for every architecture and every way to run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hf
import pytest
from prompts import random_prompts

from inferd import SamplingParams
from inferd.testing.tiny import FAMILIES

PROMPTS = random_prompts(1, 2, 15, 16, 17, 40, 70, 131)  # windows are 24, blocks 16
GREEDY = SamplingParams(temperature=0.0, max_tokens=24, ignore_eos=True)


def tokens(outputs: list[Any]) -> list[list[int]]:
    return [output.outputs[0].token_ids for output in outputs]


@pytest.fixture(scope="module")
def expected(checkpoints: dict[str, Path]) -> dict[str, list[list[int]]]:
    return {
        architecture: [hf.greedy(path, ids, GREEDY.max_tokens or 0) for ids in PROMPTS]
        for architecture, path in checkpoints.items()
    }


@pytest.mark.parametrize("architecture", FAMILIES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"async_scheduling": False},
        {"max_num_batched_tokens": 33},
        {"enable_chunked_prefill": False},
        {"enable_prefix_caching": False},
        {"max_num_seqs": 1},
        {"max_num_seqs": 3, "max_num_batched_tokens": 20},
        {"block_size": 4},
    ],
    ids=str,
)
def test_tokens(architecture: str, options: Any, make_llm: Any, expected: Any) -> None:
    llm = make_llm(architecture, **options)
    for _ in range(2):  # the second time with a warm cache
        outputs = llm.generate(PROMPTS, GREEDY)
        assert tokens(outputs) == expected[architecture]
    hits = sum(output.num_cached_tokens for output in outputs)
    assert (hits > 0) == options.get("enable_prefix_caching", True)


@pytest.mark.parametrize("architecture", FAMILIES)
@pytest.mark.parametrize("ahead", [True, False])
def test_preempted(architecture: str, ahead: bool, make_llm: Any, expected: Any) -> None:
    """All eight at once want 44 blocks; a window alone lets most of them go again."""
    blocks = 13 if architecture == "MistralForCausalLM" else 27
    llm = make_llm(architecture, num_blocks=blocks, async_scheduling=ahead, max_model_len=160)
    assert tokens(llm.generate(PROMPTS, GREEDY)) == expected[architecture]
    stats = llm._engine.stats()
    assert stats.num_preemptions > 0
    assert stats.num_blocks_used == 0
