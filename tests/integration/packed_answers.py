"""What a model from a GGUF file says, held to transformers on the directory beside the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hf
import pytest

from inferd import LLM, SamplingParams

FORMATS = ("w4_g", "w4_m", "w8_g", "w8_m")  # what GGUF's blocks become
NUM_TOKENS = 12
PROMPTS = [[5, 9, 3, 77, 12, 40, 41, 42, 60, 8], [1]]  # several tokens of an expert, and one


def answers(path: Path, plugins: str) -> tuple[list[Any], dict[str, Any]]:
    params = SamplingParams(
        temperature=0, max_tokens=NUM_TOKENS, ignore_eos=True, detokenize=False, logprobs=0
    )
    options: dict[str, Any] = {"dtype": "float32", "skip_tokenizer_init": True, "max_model_len": 64}
    with LLM(str(path), plugins=plugins, **options) as llm:
        return llm.generate(PROMPTS, params), dict(llm.info.summary)


def check_answers(path: Path, plugins: str) -> dict[str, str]:
    """Tokens and log-probabilities are those of transformers. Returns what the start says."""
    outputs, summary = answers(path, plugins)
    folder = path.with_suffix("")
    for prompt, output in zip(PROMPTS, outputs, strict=True):
        tokens = output.outputs[0].token_ids
        assert tokens == hf.greedy(folder, prompt, NUM_TOKENS)
        theirs = hf.logprobs(folder, [*prompt, *tokens])[len(prompt) - 1 : -1]
        for mine, row, token in zip(output.outputs[0].logprobs, theirs, tokens, strict=True):
            assert mine[token].logprob == pytest.approx(float(row[token]), abs=1e-3)
    return dict(summary["weight_formats"])
