"""Qwen3: Llama with RMS norms on the heads of q and k before the rotation (QK-norm)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import DecoderLM, DecoderShape, Fields, Parts, QKNormAttention

from .qwen2 import with_qwen_windows


class Qwen3ForCausalLM(DecoderLM):
    parts = Parts(attention=QKNormAttention)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, num_key_value_heads=32, head_dim=128)
        bias = fields.flag("attention_bias")
        shape = replace(DecoderShape.read(fields), qkv_bias=bias, o_bias=bias)
        return with_qwen_windows(shape, fields)
