"""GLM-4: Llama with biases on q, k and v, half heads rotated by neighbours, gate and up in one
tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import QKV, DecoderLM, DecoderShape, Fields, rotated_size


class GlmForCausalLM(DecoderLM):
    packed = QKV

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, rms_norm_eps=0.00000015625, num_key_value_heads=2, head_dim=128)
        shape = DecoderShape.read(fields)
        return replace(
            shape,
            rotated=rotated_size(hf, shape.head_dim, 0.5),
            interleaved=True,
            gate_up_fused=True,
            qkv_bias=fields.flag("attention_bias", True),
        )
