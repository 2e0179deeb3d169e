"""Llama 2/3/3.x and everything that is built the same: Yi, SmolLM, and by subclass Mistral, Qwen.

Shape suffixes: T tokens, N positions that need logits, D hidden, V vocabulary, H query heads,
G KV heads, E head size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor, nn

from inferd.contracts.attention import KVSpec
from inferd.contracts.model import BuildContext, CausalLM, KVCache
from inferd.layers import (
    ActAndMul,
    Attention,
    Embedding,
    Layer,
    LinearLayer,
    LMHead,
    RMSNorm,
    Rotary,
)
from inferd.types import Batch

from .config import LlamaShape, flag


class LlamaAttention(Layer):
    def __init__(self, shape: LlamaShape, layer: int, build: BuildContext) -> None:
        super().__init__()
        name = f"model.layers.{layer}.self_attn"
        heads, kv_heads = shape.num_heads, shape.num_kv_heads
        sizes = [n * shape.head_dim for n in (heads, kv_heads, kv_heads)]
        self.qkv_proj = LinearLayer(
            f"{name}.qkv_proj", shape.hidden_size, sizes, build, bias=shape.qkv_bias
        )
        self.o_proj = LinearLayer(
            f"{name}.o_proj", sizes[0], [shape.hidden_size], build, bias=shape.o_bias
        )
        window = shape.windows[layer]
        spec = KVSpec(
            num_kv_heads=kv_heads,
            head_dim=shape.head_dim,
            dtype=build.config.dtype,
            kind="full" if window is None else "window",
            window=window,
        )
        self.attn = Attention(heads, spec, build)

    def forward(self, x_TD: Tensor, batch: Batch, cache: KVCache) -> Tensor:
        out_TD: Tensor = self.o_proj(self.attn(self.qkv_proj(x_TD), batch, cache))
        return out_TD


class LlamaMLP(Layer):
    def __init__(self, shape: LlamaShape, layer: int, build: BuildContext) -> None:
        super().__init__()
        name = f"model.layers.{layer}.mlp"
        inner = shape.intermediate_size
        self.gate_up_proj = LinearLayer(
            f"{name}.gate_up_proj", shape.hidden_size, [inner, inner], build, bias=shape.mlp_bias
        )
        self.down_proj = LinearLayer(
            f"{name}.down_proj", inner, [shape.hidden_size], build, bias=shape.mlp_bias
        )
        self.act = ActAndMul(shape.hidden_act, build)

    def forward(self, x_TD: Tensor) -> Tensor:
        out_TD: Tensor = self.down_proj(self.act(self.gate_up_proj(x_TD)))
        return out_TD


class LlamaBlock(Layer):
    """Pre-norm block; takes and returns (x, residual) so that add and norm are one op."""

    attention = LlamaAttention

    def __init__(self, shape: LlamaShape, layer: int, build: BuildContext) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.norm_eps, build)
        self.self_attn = self.attention(shape, layer, build)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.norm_eps, build)
        self.mlp = LlamaMLP(shape, layer, build)

    def forward(
        self, x_TD: Tensor, residual_TD: Tensor | None, batch: Batch, cache: KVCache
    ) -> tuple[Tensor, Tensor]:
        x_TD, residual = self.input_layernorm(x_TD, residual_TD)
        x_TD = self.self_attn(x_TD, batch, cache)
        x_TD, residual = self.post_attention_layernorm(x_TD, residual)
        return self.mlp(x_TD), residual


class LlamaModel(Layer):
    block = LlamaBlock

    def __init__(self, shape: LlamaShape, build: BuildContext) -> None:
        super().__init__()
        self.embed_tokens = Embedding(shape.vocab_size, shape.hidden_size, build)
        self.rotary = Rotary(shape.head_dim, build)
        self.layers = nn.ModuleList(self.block(shape, i, build) for i in range(shape.num_layers))
        self.norm = RMSNorm(shape.hidden_size, shape.norm_eps, build)

    def forward(self, batch: Batch, caches: Sequence[KVCache]) -> Tensor:
        x_TD: Tensor = self.embed_tokens(batch.ids_T)
        batch.rope = self.rotary(batch.positions_T)
        residual_TD: Tensor | None = None
        for layer, cache in zip(self.layers, caches, strict=True):
            x_TD, residual_TD = layer(x_TD, residual_TD, batch, cache)
        out_TD: Tensor = self.norm(x_TD, residual_TD)[0]
        return out_TD


class LlamaForCausalLM(CausalLM):
    """Raises UnsupportedModel for values of its config that it does not implement."""

    packed: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "qkv_proj": ("q_proj", "k_proj", "v_proj"),
        "gate_up_proj": ("gate_proj", "up_proj"),
    }
    model_class = LlamaModel

    def __init__(self, build: BuildContext) -> None:
        super().__init__(build)
        shape = self.read_shape(build.config.hf)
        self.model = self.model_class(shape, build)
        tied = self.model.embed_tokens if shape.tied else None
        self._attentions = [m for m in self.model.modules() if isinstance(m, Attention)]
        self.lm_head = LMHead(shape.vocab_size, shape.hidden_size, build, tied=tied)

    def read_shape(self, hf: Mapping[str, Any]) -> LlamaShape:
        bias = flag(hf, "attention_bias")
        mlp_bias = flag(hf, "mlp_bias")
        return replace(LlamaShape.read(hf), qkv_bias=bias, o_bias=bias, mlp_bias=mlp_bias)

    def kv_specs(self) -> list[KVSpec]:
        return [attention.spec for attention in self._attentions]

    def set_groups(self, groups: Sequence[int]) -> None:
        for attention, group in zip(self._attentions, groups, strict=True):
            attention.set_group(group)

    def forward(self, batch: Batch, caches: Sequence[KVCache]) -> Tensor:
        hidden_TD: Tensor = self.model(batch, caches)
        return hidden_TD

    def compute_logits(self, hidden_ND: Tensor) -> Tensor:
        logits_NV: Tensor = self.lm_head(hidden_ND)
        return logits_NV
