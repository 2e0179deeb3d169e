"""Qwen2 and 2.5: Llama with biases on q, k and v, and a sliding window on the later layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import LAYER_TYPES, DecoderLM, DecoderShape, Fields


def with_qwen_windows(shape: DecoderShape, fields: Fields) -> DecoderShape:
    """From layer_types where given, else on every layer from max_window_layers on."""
    if not fields.flag("use_sliding_window"):
        return shape
    types = fields.per_layer("layer_types", LAYER_TYPES, shape.num_layers)
    if types is None:
        first = fields.count("max_window_layers", 28, least=0)
        return shape.with_window(fields, [layer >= first for layer in range(shape.num_layers)])
    return shape.with_window(fields, [kind == "sliding_attention" for kind in types])


class Qwen2ForCausalLM(DecoderLM):
    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, num_key_value_heads=32)
        return with_qwen_windows(replace(DecoderShape.read(fields), qkv_bias=True), fields)
