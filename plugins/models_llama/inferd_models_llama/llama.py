"""Llama 2/3/3.x and everything that is built the same: Yi, SmolLM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import DecoderLM, DecoderShape, Fields


class LlamaForCausalLM(DecoderLM):
    """The decoder as inferd.layers has it: pre-norm, gated MLP, whole heads rotated."""

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf)
        bias, mlp_bias = fields.flag("attention_bias"), fields.flag("mlp_bias")
        shape = DecoderShape.read(fields)
        return replace(shape, qkv_bias=bias, o_bias=bias, mlp_bias=mlp_bias)
