"""Mistral: Llama without biases and with a sliding window on every layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferd.layers import DecoderLM, DecoderShape, Fields


class MistralForCausalLM(DecoderLM):
    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, num_key_value_heads=8)
        shape = DecoderShape.read(fields)
        return shape.with_window(fields, [True] * shape.num_layers)
