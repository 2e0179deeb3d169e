"""Qwen2 and 2.5: Llama with biases on q, k and v, and a sliding window on the later layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.errors import UnsupportedModel

from .config import LlamaShape
from .llama import LlamaForCausalLM

LAYER_TYPES = ("full_attention", "sliding_attention")


def with_qwen_windows(shape: LlamaShape, hf: Mapping[str, Any]) -> LlamaShape:
    """From layer_types where given, else on every layer from max_window_layers on."""
    if not hf.get("use_sliding_window"):
        return shape
    types = hf.get("layer_types")
    if types is None:
        first = int(hf.get("max_window_layers", 28))
        types = [LAYER_TYPES[layer >= first] for layer in range(shape.num_layers)]
    if len(types) != shape.num_layers or not set(types) <= set(LAYER_TYPES):
        raise UnsupportedModel(
            f"config.json: layer_types must name {' or '.join(LAYER_TYPES)} for each of the "
            f"{shape.num_layers} layers, found {types}"
        )
    windowed = [kind == "sliding_attention" for kind in types]
    return shape.with_window(hf.get("sliding_window", 4096), windowed)


class Qwen2ForCausalLM(LlamaForCausalLM):
    def read_shape(self, hf: Mapping[str, Any]) -> LlamaShape:
        shape = replace(LlamaShape.read(hf, kv_heads=32), qkv_bias=True)
        return with_qwen_windows(shape, hf)
