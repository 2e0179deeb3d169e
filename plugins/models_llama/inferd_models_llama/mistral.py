"""Mistral: Llama without biases and with a sliding window on every layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .config import LlamaShape
from .llama import LlamaForCausalLM


class MistralForCausalLM(LlamaForCausalLM):
    def read_shape(self, hf: Mapping[str, Any]) -> LlamaShape:
        shape = LlamaShape.read(hf, kv_heads=8)
        return shape.with_window(hf, [True] * shape.num_layers)
