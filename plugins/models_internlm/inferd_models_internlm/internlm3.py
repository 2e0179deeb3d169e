"""InternLM 3: Llama with two names for its biases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import DecoderLM, DecoderShape, Fields


class InternLM3ForCausalLM(DecoderLM):
    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, rms_norm_eps=1e-5, num_key_value_heads=2, head_dim=128)
        bias = fields.flag("bias")
        return replace(
            DecoderShape.read(fields),
            qkv_bias=fields.flag("qkv_bias"),
            o_bias=bias,
            mlp_bias=bias,
        )
