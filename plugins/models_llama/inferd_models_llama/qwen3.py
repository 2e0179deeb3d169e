"""Qwen3: Llama with RMS norms on the heads of q and k before the rotation (QK-norm).

Shape suffixes: T tokens, D hidden, E head size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from inferd.contracts.model import BuildContext, KVCache
from inferd.layers import RMSNorm
from inferd.types import Batch

from .config import LlamaShape, flag
from .llama import LlamaAttention, LlamaBlock, LlamaForCausalLM, LlamaModel
from .qwen2 import with_qwen_windows


class Qwen3Attention(LlamaAttention):
    def __init__(self, shape: LlamaShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        self.q_norm = RMSNorm(shape.head_dim, shape.norm_eps, build)
        self.k_norm = RMSNorm(shape.head_dim, shape.norm_eps, build)

    def forward(self, x_TD: Tensor, batch: Batch, cache: KVCache) -> Tensor:
        norms = (self.q_norm.weight, self.k_norm.weight, self.q_norm.eps)
        attended_TD = self.attn(self.qkv_proj(x_TD), batch, cache, *norms)
        out_TD: Tensor = self.o_proj(attended_TD)
        return out_TD


class Qwen3Block(LlamaBlock):
    attention = Qwen3Attention


class Qwen3Model(LlamaModel):
    block = Qwen3Block


class Qwen3ForCausalLM(LlamaForCausalLM):
    model_class = Qwen3Model

    def read_shape(self, hf: Mapping[str, Any]) -> LlamaShape:
        bias = flag(hf, "attention_bias")
        shape = LlamaShape.read(hf, kv_heads=32, head_dim=128)
        return with_qwen_windows(replace(shape, qkv_bias=bias, o_bias=bias), hf)
