"""Decoder layers by where they put their norms. All take and return (x, residual).

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from inferd.contracts.model import BuildContext, KVCache
from inferd.layers.layer import Layer
from inferd.layers.mlp import GatedMLP
from inferd.layers.norm import RMSNorm
from inferd.layers.self_attention import SelfAttention
from inferd.layers.shape import DecoderShape
from inferd.types import Batch


class Block(Layer):
    """Attention, MLP and the norms of `norms`, named as the block's forward uses them."""

    norms: ClassVar[tuple[str, ...]]
    input_layernorm: Any
    post_attention_layernorm: Any
    pre_feedforward_layernorm: Any
    post_feedforward_layernorm: Any

    def __init__(self, parts: Parts, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__()
        self.self_attn = parts.attention(shape, layer, build)
        self.mlp = parts.mlp(shape, layer, build)
        for name in self.norms:
            self.add_module(name, parts.norm(shape.hidden_size, shape.norm_eps, build))


class PreNormBlock(Block):
    """Norm before attention and MLP, so that add and norm are one op."""

    norms = ("input_layernorm", "post_attention_layernorm")

    def __init__(self, parts: Parts, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__(parts, shape, layer, build)
        self.self_attn.fed_by(self.input_layernorm)
        self.mlp.fed_by(self.post_attention_layernorm)

    def forward(
        self, x_TD: Tensor, residual_TD: Tensor | None, batch: Batch, cache: KVCache
    ) -> tuple[Tensor, Tensor]:
        x_TD, residual = self.input_layernorm(x_TD, residual_TD)
        x_TD = self.self_attn(x_TD, batch, cache)
        x_TD, residual = self.post_attention_layernorm(x_TD, residual)
        return self.mlp(x_TD), residual


class PostNormBlock(Block):
    """Norm after attention and MLP, before their output is added."""

    norms = ("post_attention_layernorm", "post_feedforward_layernorm")

    def forward(
        self, x_TD: Tensor, residual_TD: Tensor | None, batch: Batch, cache: KVCache
    ) -> tuple[Tensor, Tensor]:
        if residual_TD is not None:
            x_TD = x_TD + residual_TD
        attended_TD = self.self_attn(x_TD, batch, cache)
        x_TD = x_TD + self.post_attention_layernorm(attended_TD)[0]
        return self.post_feedforward_layernorm(self.mlp(x_TD))[0], x_TD


class SandwichBlock(Block):
    """Norm before and after attention and MLP."""

    norms = (
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    )

    def forward(
        self, x_TD: Tensor, residual_TD: Tensor | None, batch: Batch, cache: KVCache
    ) -> tuple[Tensor, Tensor]:
        x_TD, residual = self.input_layernorm(x_TD, residual_TD)
        x_TD = self.post_attention_layernorm(self.self_attn(x_TD, batch, cache))[0]
        x_TD, residual = self.pre_feedforward_layernorm(x_TD, residual)
        return self.post_feedforward_layernorm(self.mlp(x_TD))[0], residual


class ParallelBlock(Block):
    """Attention and MLP read the same normed x; both are added to it."""

    norms = ("input_layernorm",)

    def forward(
        self, x_TD: Tensor, residual_TD: Tensor | None, batch: Batch, cache: KVCache
    ) -> tuple[Tensor, Tensor]:
        x_TD, residual = self.input_layernorm(x_TD, residual_TD)
        return self.self_attn(x_TD, batch, cache) + self.mlp(x_TD), residual


class TwoNormParallelBlock(Block):
    """Attention and MLP read x, each through a norm of its own; both are added to it."""

    norms = ("input_layernorm", "post_attention_layernorm")

    def forward(
        self, x_TD: Tensor, residual_TD: Tensor | None, batch: Batch, cache: KVCache
    ) -> tuple[Tensor, Tensor]:
        normed_TD, residual = self.input_layernorm(x_TD, residual_TD)
        mlp_TD = self.mlp(self.post_attention_layernorm(residual)[0])
        return self.self_attn(normed_TD, batch, cache) + mlp_TD, residual


@dataclass(frozen=True, slots=True)
class Parts:
    """What a family's decoder is made of; every class is called as the default one is."""

    norm: Any = RMSNorm  # (size, eps, build), of the blocks and the last one
    attention: Any = SelfAttention  # (shape, layer, build)
    mlp: Any = GatedMLP  # (shape, layer, build)
    block: type[Block] = PreNormBlock
