"""Granite MoE: Granite with a mixture of experts for an MLP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import QKV, DecoderShape, Fields, Parts, StackedMoE

from .granite import GraniteBlock, GraniteForCausalLM, GraniteShape, multiplied


class GraniteMoeForCausalLM(GraniteForCausalLM):
    packed = QKV
    names = {
        "block_sparse_moe": "mlp",
        "router.layer": "gate",
        "input_linear": "experts.gate_up_proj",
        "output_linear": "experts.down_proj",
    }
    parts = Parts(block=GraniteBlock, mlp=StackedMoE)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf, {"num_experts": "num_local_experts"}, num_experts=8, num_experts_per_tok=2
        )
        shape = GraniteShape.read(fields).with_experts(fields)
        shape = replace(shape, expert_size=shape.intermediate_size, renormalized=True)
        return multiplied(shape, fields)
