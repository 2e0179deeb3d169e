"""Mistral: Llama with a sliding window on every layer."""

from __future__ import annotations

from inferd.contracts.model import BuildContext

from .config import LlamaShape
from .llama import LlamaForCausalLM


class MistralForCausalLM(LlamaForCausalLM):
    def read_shape(self, build: BuildContext) -> LlamaShape:
        shape = LlamaShape.read(build.config.hf)
        window = build.config.hf.get("sliding_window")
        return shape.with_window(window, dict.fromkeys(range(shape.num_layers), True))
