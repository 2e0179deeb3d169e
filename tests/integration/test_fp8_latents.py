"""DeepSeek V3 as it is published, in blocks of FP8, says what transformers says of its values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hf
import pytest
import torch
from plugin_writers import contract
from safetensors.torch import load_file, save_file
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

from inferd import LLM, SamplingParams

pytest.importorskip("inferd_models_deepseek")
pytest.importorskip("inferd_quant_fp8")
PROMPT, NUM_TOKENS = [5, 80, 200, 7, 31], 8
SIZES: dict[str, Any] = {
    "vocab_size": 256,
    "hidden_size": 256,
    "intermediate_size": 256,
    "moe_intermediate_size": 128,
    "num_hidden_layers": 2,
    "first_k_dense_replace": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": 128,
    "kv_lora_rank": 128,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,  # rows of kv_a_proj_with_mqa that are no whole block
    "v_head_dim": 32,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "n_group": 4,
    "topk_group": 2,
    "max_position_embeddings": 256,
}
PUBLISHED = {
    "quant_method": "fp8",
    "fmt": "e4m3",
    "activation_scheme": "dynamic",
    "weight_block_size": [128, 128],
}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """In FP8, and what its values are."""
    packed, dense = tmp_path / "packed", tmp_path / "dense"
    torch.manual_seed(0)
    model = DeepseekV3ForCausalLM(DeepseekV3Config(**SIZES)).float()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=1.2 / parameter.shape[-1] ** 0.5)
    for folder in (packed, dense):
        model.save_pretrained(folder)
    values, writer = load_file(dense / "model.safetensors"), contract("fp8")
    stored = dict(values)
    for name in [n for n in values if "proj" in n]:  # as DeepSeek: all but router, head, embedding
        tensors, exact_NK = writer.store(stored.pop(name), PUBLISHED)
        stored |= {name.removesuffix("weight") + suffix: t for suffix, t in tensors.items()}
        values[name] = exact_NK.float()
    save_file(values, dense / "model.safetensors", {"format": "pt"})
    save_file(stored, packed / "model.safetensors")
    config = json.loads((packed / "config.json").read_text())
    (packed / "config.json").write_text(json.dumps(config | {"quantization_config": PUBLISHED}))
    return packed, dense


def test_it_says_what_transformers_says(folders: tuple[Path, Path]) -> None:
    packed, dense = folders
    params = SamplingParams(
        temperature=0, max_tokens=NUM_TOKENS, ignore_eos=True, detokenize=False, logprobs=0
    )
    options: dict[str, Any] = {"dtype": "float32", "skip_tokenizer_init": True, "max_model_len": 64}
    with LLM(str(packed), plugins="none,models_deepseek,fp8", **options) as llm:
        (output,) = llm.generate([PROMPT], params)
        assert "fp8_block" in llm.info.summary["weight_formats"]
    tokens = output.outputs[0].token_ids
    assert tokens == hf.greedy(dense, PROMPT, NUM_TOKENS)
    theirs = hf.logprobs(dense, [*PROMPT, *tokens])[len(PROMPT) - 1 : -1]
    for mine, row, token in zip(output.outputs[0].logprobs, theirs, tokens, strict=True):
        assert mine[token].logprob == pytest.approx(float(row[token]), abs=1e-3)
