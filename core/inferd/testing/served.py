"""Greedy tokens of an oracle's checkpoint through the whole engine, and what transformers says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from inferd.engine.llm import LLM
from inferd.params import SamplingParams
from inferd.testing.oracle import Oracle, continued
from inferd.testing.tiny_tokenizer import write_tokenizer

PROMPT, OUTPUT = 40, 64  # tokens
TIE = 1e-3  # a lead of less, in standard deviations of the logits, is none


def check_greedy(path: Path, architecture: str, oracle: Oracle) -> Mapping[str, Any]:
    """All prompts at once, then again with their beginnings in the prefix cache.

    Returns the engine's summary.
    Raises AssertionError where a token differs that is not a tie.
    """
    prompts_RT = oracle.ids_RT[:, :PROMPT]
    expected_RN, leads_RN = continued(architecture, oracle.config, prompts_RT, OUTPUT)
    tied_RN = (leads_RN < TIE * oracle.spread).cummax(1).values
    prompts: list[list[int]] = prompts_RT.tolist()
    write_oracle(path, oracle)
    params = SamplingParams(temperature=0, max_tokens=OUTPUT, ignore_eos=True)
    with LLM(str(path), dtype="float32", num_blocks=256, block_size=16) as llm:
        for cached in (0, PROMPT // 16 * 16):
            outputs = llm.generate(prompts, params)
            for row, output in enumerate(outputs):
                assert output.num_cached_tokens == cached, f"{output.num_cached_tokens} cached"
                count = OUTPUT - int(tied_RN[row].sum())
                found = output.outputs[0].token_ids[:count]
                assert found == expected_RN[row, :count].tolist(), (
                    f"row {row}, {cached} tokens of the prompt cached: greedy tokens are {found}, "
                    f"transformers' {expected_RN[row, :count].tolist()}"
                )
        return llm.info.summary


def write_oracle(path: Path, oracle: Oracle) -> None:
    """The checkpoint that the oracle answered for, and a tokenizer."""
    tensors = {tensor.name: tensor.data.contiguous() for tensor in oracle.tensors}
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    (path / "config.json").write_text(json.dumps(oracle.config))
    write_tokenizer(path)
