"""Qwen3-MoE: Qwen3 with many small experts, and layers without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.contracts.model import BuildContext
from inferd.layers import DecoderLM, DecoderShape, Fields, GatedMLP, MoE, Parts, QKNormAttention

from .qwen2_moe import QwenMoEShape, qwen_moe_shape


def experts_or_dense(shape: QwenMoEShape, layer: int, build: BuildContext) -> MoE | GatedMLP:
    kind = GatedMLP if layer in shape.dense_layers else MoE
    return kind(shape, layer, build)


class Qwen3MoeForCausalLM(DecoderLM):
    parts = Parts(attention=QKNormAttention, mlp=experts_or_dense)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf,
            num_key_value_heads=4,
            num_experts=128,
            num_experts_per_tok=8,
            moe_intermediate_size=768,
        )
        bias = fields.flag("attention_bias")
        shape = replace(qwen_moe_shape(fields), qkv_bias=bias, o_bias=bias)
        if not fields.flag("use_sliding_window"):
            return shape
        return shape.with_window(fields, [True] * shape.num_layers)
