"""DeepSeek's GGUF files that contradict themselves."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import pytest

from inferd.errors import CheckpointError
from inferd.loading.gguf_config import read_config
from inferd.loading.gguf_header import GgufHeader, TensorInfo

HIDDEN, HEADS, KEYS, ROTATED, VALUES, LATENT, INNER, EXPERTS = 32, 2, 8, 4, 6, 16, 12, 4
SMALL = {
    "block_count": 2,
    "leading_dense_block_count": 1,
    "context_length": 64,
    "embedding_length": HIDDEN,
    "feed_forward_length": INNER,
    "attention.head_count": HEADS,
    "attention.key_length": KEYS + ROTATED,
    "attention.value_length": VALUES,
    "attention.kv_lora_rank": LATENT,
    "expert_count": EXPERTS,
    "expert_used_count": 2,
    "expert_shared_count": 2,
    "expert_feed_forward_length": INNER,
    "rope.dimension_count": ROTATED,
}
NEWER = {"attention.key_length_mla": KEYS + ROTATED, "attention.value_length_mla": VALUES}
TENSORS = {
    "token_embd.weight": (8, HIDDEN),
    **{
        f"blk.{layer}.{name}.weight": shape
        for layer in (0, 1)
        for name, shape in {
            "attn_norm": (HIDDEN,),
            "attn_q": (HEADS * (KEYS + ROTATED), HIDDEN),
            "attn_kv_a_mqa": (LATENT + ROTATED, HIDDEN),
            "attn_kv_a_norm": (LATENT,),
            "attn_kv_b": (HEADS * (KEYS + VALUES), LATENT),
            "attn_output": (HIDDEN, HEADS * VALUES),
            "ffn_norm": (HIDDEN,),
        }.items()
    },
    "blk.0.ffn_gate.weight": (INNER, HIDDEN),
    "blk.0.ffn_up.weight": (INNER, HIDDEN),
    "blk.0.ffn_down.weight": (HIDDEN, INNER),
    "blk.1.ffn_gate_inp.weight": (EXPERTS, HIDDEN),
    "blk.1.ffn_gate_exps.weight": (EXPERTS, INNER, HIDDEN),
    "blk.1.ffn_up_exps.weight": (EXPERTS, INNER, HIDDEN),
    "blk.1.ffn_down_exps.weight": (EXPERTS, HIDDEN, INNER),
    "blk.1.ffn_gate_shexp.weight": (2 * INNER, HIDDEN),
    "blk.1.ffn_up_shexp.weight": (2 * INNER, HIDDEN),
    "blk.1.ffn_down_shexp.weight": (HIDDEN, 2 * INNER),
}
HALVES = {"blk.0.attn_kv_b.weight": None, "blk.1.attn_kv_b.weight": None} | {
    f"blk.{layer}.attn_{part}_b.weight": shape
    for layer in (0, 1)
    for part, shape in (("k", (HEADS, LATENT, KEYS)), ("v", (HEADS, VALUES, LATENT)))
}
BIAS = {"blk.1.exp_probs_b.bias": (EXPERTS,)}


def read(fields: dict[str, Any], tensors: dict[str, Any]) -> dict[str, Any]:
    infos = {
        name: TensorInfo(name, shape, 0, 0) for name, shape in tensors.items() if shape is not None
    }
    metadata = {"general.architecture": "deepseek2"}
    metadata |= {f"deepseek2.{key}": value for key, value in fields.items()}
    header = GgufHeader(metadata, infos, 32, 0)
    return read_config(header, mmap.mmap(-1, 1), Path("m.gguf"))


def test_a_sound_file_is_taken() -> None:
    assert read(SMALL, TENSORS)["model_type"] == "deepseek_v2"
    config = read(SMALL | NEWER | {"expert_gating_func": 2}, TENSORS | HALVES | BIAS)
    assert config["model_type"] == "deepseek_v3"


@pytest.mark.parametrize(
    ("fields", "tensors", "message"),
    [
        ({"attention.kv_lora_rank": 8}, {}, r"'blk.0.attn_kv_a_mqa.weight' has shape \[20, 32\]"),
        ({"attention.value_length": 7}, {}, r"'blk.0.attn_kv_b.weight' has .*expected \[30, 16\]"),
        ({"attention.q_lora_rank": 9}, {}, "'blk.0.attn_q_a.weight' is missing"),
        ({"expert_shared_count": 1}, {}, r"'blk.1.ffn_gate_shexp.weight' has .* \[12, 32\]"),
        ({"leading_dense_block_count": 2}, {}, "'blk.1.ffn_gate.weight' is missing"),
        ({"expert_gating_func": 2}, {}, "'blk.1.exp_probs_b.bias' is missing"),
        ({}, BIAS, "'blk.1.exp_probs_b.bias' has shape .*expected no such tensor"),
        ({}, HALVES, "'blk.0.attn_kv_b.weight' is missing"),
        (NEWER, {}, "'blk.0.attn_k_b.weight' is missing"),
        (NEWER, HALVES | {"blk.1.attn_v_b.weight": (HEADS, LATENT, VALUES)}, r"\[2, 16, 6\], exp"),
        ({"block_count": 3}, {}, "3 layers are announced"),
    ],
)
def test_contradictions_are_refused_before_a_model_is_built(
    fields: dict[str, Any], tensors: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=f"m.gguf: .*{message}"):
        read(SMALL | fields, TENSORS | tensors)
