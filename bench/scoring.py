"""What a model makes of texts."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from inferd import LLM, SamplingParams

TOKENS = 24  # that go on after a text


def scored(
    folder: Path, prompts: list[dict], dtype: str, **options: str
) -> tuple[Tensor, list[list[int]]]:
    """Log-probabilities of the prompts' tokens, and what the model says after each."""
    params = SamplingParams(temperature=0, max_tokens=TOKENS, prompt_logprobs=0, ignore_eos=True)
    with LLM(str(folder), dtype=dtype, max_model_len=1024, **options) as llm:
        asked = [{"prompt_token_ids": prompt["ids"]} for prompt in prompts]
        outputs = llm.generate(asked, params)
    found = [
        next(iter(place.values())).logprob
        for output in outputs
        for place in output.prompt_logprobs[1:]
    ]
    return torch.tensor(found, dtype=torch.float64), [o.outputs[0].token_ids for o in outputs]


def perplexity(logprobs: Tensor) -> float:
    return math.exp(-float(logprobs.mean()))
