"""A gpt-oss whose experts are stored in MXFP4 is the one whose experts are stored dequantized."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GptOssConfig, GptOssForCausalLM
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from inferd import LLM, SamplingParams

pytest.importorskip("inferd_models_gpt")
pytest.importorskip("inferd_quant_mxfp4")


PROMPTS = [[5, 9, 3, 77, 12], [1, 2, 3]]
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "vocab_size": 128,
    "sliding_window": 8,
}


def answers(folder: Path, **options: Any) -> list[list[int]]:
    params = SamplingParams(temperature=0.0, max_tokens=12, ignore_eos=True, detokenize=False)
    options |= {"dtype": "float32", "skip_tokenizer_init": True, "max_model_len": 64}
    with LLM(str(folder), **options) as llm:
        return [output.outputs[0].token_ids for output in llm.generate(PROMPTS, params)]


def test_packed_experts_answer_as_dequantized_ones(tmp_path: Path) -> None:
    dense, packed, file = tmp_path / "dense", tmp_path / "packed", "model.safetensors"
    torch.manual_seed(0)
    model = GptOssForCausalLM(GptOssConfig(**SIZES))
    for folder in (dense, packed):
        model.save_pretrained(folder)
    floats = load_file(dense / file)
    stored, generator = dict(floats), torch.Generator().manual_seed(0)
    names = [name for name in floats if name.endswith(("gate_up_proj", "down_proj"))]
    assert names
    for name in names:
        num, columns, rows = floats[name].shape
        blocks = torch.randint(256, (num, rows, columns // 32, 16), generator=generator).byte()
        scales = torch.randint(121, 125, blocks.shape[:3], generator=generator).byte()
        del stored[name]
        stored |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
        floats[name] = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    save_file(floats, dense / file)
    save_file(stored, packed / file)
    config = json.loads((packed / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
    (packed / "config.json").write_text(json.dumps(config))
    assert answers(packed) == answers(dense)
    assert len(answers(packed, load_format="dummy")) == len(PROMPTS)
    options = {"dtype": "bfloat16", "skip_tokenizer_init": True, "max_model_len": 64}
    with LLM(str(packed), **options) as llm, LLM(str(dense), **options) as other:
        kept, wide = (each.info.summary for each in (llm, other))
    assert kept["weight_formats"] == {"w8_g": "packed"}
    assert kept["weight_bytes"] < 0.7 * wide["weight_bytes"]
