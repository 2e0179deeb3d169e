"""Granite: Llama with four multipliers.

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from inferd.contracts.model import BuildContext, KVCache
from inferd.layers import DecoderLM, DecoderShape, Fields, MoEShape, Parts, PreNormBlock
from inferd.types import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class GraniteShape(MoEShape):
    """Of dense models too, which have no experts."""

    residual_scale: float = 1.0  # of what attention and MLP add


class GraniteBlock(PreNormBlock):
    def __init__(self, parts: Parts, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__(parts, shape, layer, build)
        assert isinstance(shape, GraniteShape)
        self._scale = shape.residual_scale

    def forward(
        self, x_TD: Tensor, residual_TD: Tensor | None, batch: Batch, cache: KVCache
    ) -> tuple[Tensor, Tensor]:
        x_TD, residual = self.input_layernorm(x_TD, residual_TD)
        x_TD = self.self_attn(x_TD, batch, cache) * self._scale
        x_TD, residual = self.post_attention_layernorm(x_TD, residual)
        return self.mlp(x_TD) * self._scale, residual


class GraniteForCausalLM(DecoderLM):
    parts = Parts(block=GraniteBlock)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf)
        shape = multiplied(GraniteShape.read(fields), fields)
        return replace(shape, mlp_bias=fields.flag("mlp_bias"))


def multiplied(shape: GraniteShape, fields: Fields) -> GraniteShape:
    """With what dense models and mixtures of experts have in common."""
    bias = fields.flag("attention_bias")
    return replace(
        shape,
        qkv_bias=bias,
        o_bias=bias,
        scale=fields.number("attention_multiplier", 1.0),
        embedding_scale=fields.number("embedding_multiplier", 1.0),
        residual_scale=fields.number("residual_multiplier", 1.0),
        logit_scale=1 / fields.number("logits_scaling", 1.0, above=0.0),
    )
