"""What a GGUF file says of its experts, and files that contradict themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf_files import add_shape, write

from inferd.errors import CheckpointError, UnsupportedModel
from inferd.loading.gguf import GgufLoader
from inferd.loading.gguf_config import open_config

HIDDEN, INNER, EXPERTS = 32, 16, 4
SHAPE = {
    "num_hidden_layers": 1,
    "max_position_embeddings": 64,
    "hidden_size": HIDDEN,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e4,
}
OTHER: dict[str, tuple[int, ...]] = {"blk.0.attn_norm.weight": (HIDDEN,)}
STACKED = {"blk.0.ffn_gate_exps.weight": (EXPERTS, INNER, HIDDEN)}
COUNTS = {"expert_count": EXPERTS, "expert_used_count": 4}
SIZES = {"expert_feed_forward_length": 16, "expert_shared_feed_forward_length": 48}


def mixture(
    path: Path, arch: str, counts: dict[str, int], tensors: dict[str, tuple[int, ...]]
) -> Path:
    writer = gguf.GGUFWriter(path / "m.gguf", arch)
    add_shape(writer, SHAPE)
    for key, value in counts.items():
        writer.add_uint32(f"{arch}.{key}", value)
    for name, shape in {"token_embd.weight": (8, HIDDEN), **tensors}.items():
        writer.add_tensor(name, np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    write(writer)
    return path / "m.gguf"


@pytest.mark.parametrize(
    ("arch", "counts", "expected"),
    [
        (
            "qwen3moe",
            COUNTS | SIZES,
            {
                "architectures": ["Qwen3MoeForCausalLM"],
                "model_type": "qwen3_moe",
                "num_experts": 4,
                "num_experts_per_tok": 4,
                "intermediate_size": 64,
                "moe_intermediate_size": 16,
                "norm_topk_prob": True,
            },
        ),
        (
            "qwen2moe",
            COUNTS | SIZES,
            {
                "architectures": ["Qwen2MoeForCausalLM"],
                "model_type": "qwen2_moe",
                "moe_intermediate_size": 16,
                "shared_expert_intermediate_size": 48,
                "norm_topk_prob": False,
            },
        ),
        (
            "qwen2moe",  # a file from before its sizes had keys
            COUNTS,
            {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 64},
        ),
        (
            "llama",
            {"feed_forward_length": INNER} | COUNTS,
            {
                "architectures": ["MixtralForCausalLM"],
                "model_type": "mixtral",
                "num_local_experts": 4,
                "num_experts_per_tok": 4,
                "intermediate_size": 16,
            },
        ),
        (
            "llama",
            {"expert_count": 0},
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
        ),
    ],
)
def test_configuration(
    tmp_path: Path, arch: str, counts: dict[str, int], expected: dict[str, Any]
) -> None:
    tensors = STACKED if counts["expert_count"] else OTHER
    config = open_config(mixture(tmp_path, arch, counts, tensors))
    assert {key: config.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("counts", "tensors", "message"),
    [
        (COUNTS | SIZES, OTHER, "4 experts are announced .* before April 2024"),
        (
            COUNTS | SIZES | {"expert_count": 5},
            STACKED,
            r"shape \[4, 16, 32\], expected \[5, 16, 32\]",
        ),
        (COUNTS | {"expert_feed_forward_length": 8}, STACKED, r"expected \[4, 8, 32\]"),
        ({"expert_count": 4}, STACKED, r"qwen3moe\.expert_used_count is missing"),
        ({"expert_used_count": 4}, STACKED, r"qwen3moe\.expert_count is missing"),
    ],
)
def test_contradictions_are_refused_before_a_model_is_built(
    tmp_path: Path, counts: dict[str, int], tensors: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        open_config(mixture(tmp_path, "qwen3moe", counts, tensors))


def test_experts_are_views_of_the_file(tmp_path: Path) -> None:
    tensors = STACKED | {"blk.0.ffn_gate_inp_shexp.weight": (HIDDEN,)}
    found = {
        t.name: t
        for t in GgufLoader(mixture(tmp_path, "qwen2moe", COUNTS | SIZES, tensors)).tensors()
    }
    values = torch.arange(EXPERTS * INNER * HIDDEN).float().view(EXPERTS, INNER, HIDDEN)
    names = [f"model.layers.0.mlp.experts.{m}.gate_proj.weight" for m in range(EXPERTS)]
    first = found[names[0]].data.data_ptr()
    for expert, name in enumerate(names):
        assert found[name].shape == (INNER, HIDDEN)
        assert torch.equal(found[name].data, values[expert])
        assert found[name].data.data_ptr() == first + expert * INNER * HIDDEN * 4
    gate = found["model.layers.0.mlp.shared_expert_gate.weight"]
    assert (gate.shape, tuple(gate.data.shape)) == ((1, HIDDEN), (1, HIDDEN))


@pytest.mark.parametrize("arch", ["deepseek", "glm4moe", "phimoe"])
def test_other_mixtures_are_refused_by_name(tmp_path: Path, arch: str) -> None:
    with pytest.raises(UnsupportedModel, match=f"'{arch}' is not supported; known: .*qwen3moe"):
        open_config(mixture(tmp_path, arch, COUNTS, STACKED))
