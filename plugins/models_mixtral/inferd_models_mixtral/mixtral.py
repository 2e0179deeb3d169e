"""Mixtral: Llama with a mixture of experts for an MLP, and a window where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import DecoderLM, DecoderShape, Fields, MoE, MoEShape, Parts


class MixtralForCausalLM(DecoderLM):
    names = {
        "block_sparse_moe": "mlp",
        "w1": "gate_proj",
        "w3": "up_proj",
        "w2": "down_proj",
    }
    parts = Parts(mlp=MoE)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf,
            {"num_experts": "num_local_experts"},
            rms_norm_eps=1e-5,
            num_key_value_heads=8,
            num_experts=8,
            num_experts_per_tok=2,
            sliding_window=None,
        )
        shape = MoEShape.read(fields).with_experts(fields)
        shape = replace(
            shape, expert_size=shape.intermediate_size, renormalized=True, theta=1_000_000.0
        )
        return shape.with_window(fields, [True] * shape.num_layers)
