"""Every architecture on the GPU, recorded steps included: greedy tokens, rounding in bf16.

Shape suffixes: R rows, T tokens, K likeliest tokens, V vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hardware import PLATFORM
from tested_models import FALLBACK, KNOWN, NATIVE, oracle_of
from torch import Tensor

from inferd import LLM, SamplingParams
from inferd.testing.served import check_greedy, write_oracle

pytestmark = pytest.mark.gpu
WORSE = 1.5  # times transformers' own rounding in bfloat16 that ours may be
MOST = 20  # log-probabilities of a token
FINE = 2.0**-8  # of the deviation of logits: as good as bfloat16 gets


@pytest.mark.parametrize("architecture", [*NATIVE, *FALLBACK])
def test_greedy_tokens_are_those_of_transformers(architecture: str, tmp_path: Path) -> None:
    """In float32, with and without a prefix in the cache."""
    summary = check_greedy(tmp_path, *oracle_of(architecture))
    assert summary["platform"] == PLATFORM


@pytest.mark.parametrize("architecture", [*KNOWN, *FALLBACK])
def test_bfloat16_rounds_no_worse_than_transformers(architecture: str, tmp_path: Path) -> None:
    """The median token's distance to float32: an expert that is chosen by a hair counts once."""
    _, oracle = oracle_of(architecture)
    write_oracle(tmp_path, oracle)
    tokens_RTK, found_RTK = _own(tmp_path, oracle.ids_RT)
    exact_RTK = oracle.logits_RTV.log_softmax(-1)[:, :-1].gather(2, tokens_RTK)
    theirs_RTK = _transformers(tmp_path, oracle.ids_RT).gather(2, tokens_RTK)
    ours, theirs = (
        float((each - exact_RTK).square().mean(-1).sqrt().median() / oracle.spread)
        for each in (found_RTK, theirs_RTK)
    )
    print(f"{architecture}: {ours:.4f}, transformers {theirs:.4f}")
    assert ours <= max(FINE, WORSE * theirs), f"{ours:.4f} of a deviation, theirs {theirs:.4f}"


def _own(folder: Path, ids_RT: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest tokens after each token of the prompts but the last, and their logprobs."""
    params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=MOST)
    with LLM(str(folder), dtype="bfloat16", num_blocks=256, block_size=16) as llm:
        outputs = llm.generate(ids_RT.tolist(), params)
    found = [
        [_likeliest({token: value.logprob for token, value in each.items()}) for each in places]
        for places in (output.prompt_logprobs[1:] for output in outputs)
    ]
    found_RTK2 = torch.tensor(found, dtype=torch.float64)
    return found_RTK2[..., 0].long(), found_RTK2[..., 1].float()


def _likeliest(values: dict[int, float]) -> list[tuple[int, float]]:
    """Without the prompt's own token where it is one more."""
    return sorted(values.items(), key=lambda each: -each[1])[:MOST]


@torch.inference_mode()
def _transformers(folder: Path, ids_RT: Tensor) -> Tensor:
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {"dtype": torch.bfloat16, "attn_implementation": "eager"}
    model = AutoModelForCausalLM.from_pretrained(folder, **options).eval().cuda()
    logits_RTV = model(ids_RT.cuda(), use_cache=False).logits
    return logits_RTV.float().log_softmax(-1)[:, :-1].cpu()
