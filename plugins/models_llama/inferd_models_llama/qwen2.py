"""Qwen2 and 2.5: Llama with biases on q, k and v, and a sliding window on the later layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.errors import UnsupportedModel

from .config import LlamaShape, count, flag
from .llama import LlamaForCausalLM

LAYER_TYPES = ("full_attention", "sliding_attention")


def with_qwen_windows(shape: LlamaShape, hf: Mapping[str, Any]) -> LlamaShape:
    """From layer_types where given, else on every layer from max_window_layers on."""
    if not flag(hf, "use_sliding_window"):
        return shape
    types = hf.get("layer_types")
    if types is None:
        first = count(hf, "max_window_layers", 28, least=0)
        return shape.with_window(hf, [layer >= first for layer in range(shape.num_layers)])
    known = isinstance(types, list) and all(kind in LAYER_TYPES for kind in types)
    if not known or len(types) != shape.num_layers:
        raise UnsupportedModel(
            f"config.json: layer_types must name {' or '.join(LAYER_TYPES)} for each of the "
            f"{shape.num_layers} layers, found {types}"
        )
    return shape.with_window(hf, [kind == "sliding_attention" for kind in types])


class Qwen2ForCausalLM(LlamaForCausalLM):
    def read_shape(self, hf: Mapping[str, Any]) -> LlamaShape:
        shape = replace(LlamaShape.read(hf, kv_heads=32), qkv_bias=True)
        return with_qwen_windows(shape, hf)
