"""OLMo 1: Llama with norms that have no weights, and projections that are clipped.

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.layers import DecoderLM, DecoderShape, Fields, Layer, Parts, SelfAttention


@dataclass(frozen=True, slots=True, kw_only=True)
class OlmoShape(DecoderShape):
    clip: float | None = None  # q, k and v stay within plus and minus this


class OlmoNorm(Layer):
    def __init__(self, size: int, eps: float, build: BuildContext) -> None:  # noqa: ARG002
        super().__init__()
        self._size, self._eps = size, eps

    def forward(self, x_TD: Tensor, residual_TD: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(normed, residual)"""
        if residual_TD is not None:
            x_TD = x_TD + residual_TD
        return F.layer_norm(x_TD, (self._size,), eps=self._eps), x_TD


class OlmoAttention(SelfAttention):
    def __init__(self, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        assert isinstance(shape, OlmoShape)
        self._clip = shape.clip

    def project(self, x_TD: Tensor) -> Tensor:
        qkv = super().project(x_TD)
        return qkv if self._clip is None else qkv.clamp(-self._clip, self._clip)


class OlmoForCausalLM(DecoderLM):
    parts = Parts(norm=OlmoNorm, attention=OlmoAttention)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, {"rms_norm_eps": None}, rms_norm_eps=1e-5)
        bias = fields.flag("attention_bias")
        shape = OlmoShape.read(fields)
        return replace(shape, qkv_bias=bias, o_bias=bias, clip=fields.optional("clip_qkv"))
