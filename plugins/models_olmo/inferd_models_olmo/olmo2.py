"""OLMo 2: norms after attention and MLP, and RMS norms over all of q and all of k."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.contracts.model import BuildContext
from inferd.layers import (
    DecoderLM,
    DecoderShape,
    Fields,
    NormedAttention,
    Parts,
    PostNormBlock,
    RMSNorm,
)


class Olmo2Attention(NormedAttention):
    def __init__(self, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        q, k, _ = self.sizes
        self.q_norm = RMSNorm(q, shape.norm_eps, build)
        self.k_norm = RMSNorm(k, shape.norm_eps, build)
        self.normed = ((q,), (k,))


def olmo2_shape(fields: Fields) -> DecoderShape:
    bias = fields.flag("attention_bias")
    return replace(DecoderShape.read(fields), qkv_bias=bias, o_bias=bias)


class Olmo2ForCausalLM(DecoderLM):
    parts = Parts(attention=Olmo2Attention, block=PostNormBlock)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        return olmo2_shape(Fields(hf, rms_norm_eps=1e-5))
