"""Qwen2 and 2.5: Llama with biases on q, k and v, and a sliding window on the later layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.contracts.model import BuildContext

from .config import LlamaShape
from .llama import LlamaForCausalLM


def windowed_layers(hf: Mapping[str, Any], num_layers: int) -> dict[int, bool]:
    """From layer_types where given, else every layer from max_window_layers on."""
    types = hf.get("layer_types")
    if types:
        return {i: kind == "sliding_attention" for i, kind in enumerate(types)}
    first = int(hf.get("max_window_layers", 28))
    return {i: i >= first for i in range(num_layers)}


def qwen_shape(hf: Mapping[str, Any]) -> LlamaShape:
    shape = LlamaShape.read(hf)
    window = hf.get("sliding_window") if hf.get("use_sliding_window") else None
    return shape.with_window(window, windowed_layers(hf, shape.num_layers))


class Qwen2ForCausalLM(LlamaForCausalLM):
    def read_shape(self, build: BuildContext) -> LlamaShape:
        shape = qwen_shape(build.config.hf)
        return replace(shape, qkv_bias=True, o_bias=False, mlp_bias=False)
