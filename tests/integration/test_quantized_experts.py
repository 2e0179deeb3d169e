"""Mixtures of experts from packed weights say what they say from the dequantized ones.

On CPUs those of 4 bits stay packed; the others are dequantized when they are loaded.
Checkpoints are written by the writers of the plugins' own tests.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from plugin_writers import contract
from safetensors.torch import load_file, save_file

from inferd import LLM, SamplingParams
from inferd.testing.tiny import BASE, tensor_shapes, write_weights
from inferd.testing.tiny_tokenizer import write_tokenizer

pytest.importorskip("inferd_models_mixtral")
SIZES = {
    "hidden_size": 128,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "head_dim": 16,
    "num_experts_per_tok": 2,
    "norm_topk_prob": True,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "MixtralForCausalLM": {"model_type": "mixtral", "num_local_experts": 4},
    "Qwen3MoeForCausalLM": {
        "model_type": "qwen3_moe",
        "num_experts": 4,
        "moe_intermediate_size": 64,
    },
}
LOADED = "dequantized when loaded"
EXPERTS = {  # names of a layer's parts
    "MixtralForCausalLM": ("block_sparse_moe", ("w1", "w3", "w2")),
    "Qwen3MoeForCausalLM": ("mlp", ("gate_proj", "up_proj", "down_proj")),
}
CASES = (
    ("gptq", "MixtralForCausalLM", "4 bits, asymmetric", {}),
    ("awq", "Qwen3MoeForCausalLM", "groups of 32", {}),
    ("fp8", "Qwen3MoeForCausalLM", "blocks", {"modules_to_not_convert": ["mlp.gate"]}),
    ("compressed_tensors", "MixtralForCausalLM", "w4a16, asymmetric", {"ignore": ["gate"]}),
)


def write_dense(folder: Path, architecture: str) -> dict[str, Any]:
    """config.json, of which the tensors in float32 are drawn."""
    config = BASE | SIZES | FAMILIES[architecture] | {"architectures": [architecture]}
    llama = config | {"model_type": "qwen3" if "Qwen3" in architecture else "llama"}
    shapes = {name: s for name, s in tensor_shapes(llama).items() if ".mlp." not in name}
    module, parts = EXPERTS[architecture]
    hidden, inner = SIZES["hidden_size"], SIZES["intermediate_size"]
    for layer in range(2):
        shapes[f"model.layers.{layer}.{module}.gate.weight"] = (4, hidden)
        for expert in range(4):
            for part, shape in zip(parts, [(inner, hidden)] * 2 + [(hidden, inner)], strict=True):
                name = f"model.layers.{layer}.{module}.experts.{expert}.{part}.weight"
                shapes[name] = shape
    folder.mkdir()
    write_weights(folder, shapes)
    write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(config))
    return config


def answer(folder: Path, plugins: str) -> Any:
    params = SamplingParams(temperature=0, max_tokens=8, logprobs=3)
    with LLM(str(folder), dtype="float32", plugins=plugins, max_model_len=64) as llm:
        (output,) = llm.generate([{"prompt_token_ids": [5, 80, 200, 7, 31]}], params)
        return output.outputs[0], llm.info.summary


@pytest.mark.parametrize(("plugin", "architecture", "case", "more"), CASES)
def test_the_same_as_dequantized(plugin, architecture, case, more, tmp_path) -> None:
    writer, dense, packed = contract(plugin), tmp_path / "dense", tmp_path / "packed"
    quantized = writer.configs[case]
    config = write_dense(dense, architecture)
    write_dense(packed, architecture)
    floats = load_file(dense / "model.safetensors")
    stored = dict(floats)
    for name in floats:
        if not name.startswith("model.layers.") or "norm" in name or ".gate." in name:
            continue
        tensors, values = writer.store(stored.pop(name), quantized)
        stored |= {name.removesuffix("weight") + suffix: t for suffix, t in tensors.items()}
        floats[name] = values.float().contiguous()
    save_file(floats, dense / "model.safetensors")
    save_file({name: t.contiguous() for name, t in stored.items()}, packed / "model.safetensors")
    config["quantization_config"] = {"quant_method": writer.method, **quantized, **more}
    (packed / "config.json").write_text(json.dumps(config))
    (mine, summary), (theirs, _) = (
        answer(packed, f"none,llama,models_mixtral,{plugin}"),
        answer(dense, "none,llama,models_mixtral"),
    )
    assert summary["weight_formats"] in ({"w4_g": "packed"}, {"fp8_block": LOADED})
    assert mine.token_ids == theirs.token_ids
    assert mine.cumulative_logprob == pytest.approx(theirs.cumulative_logprob, abs=1e-3)
