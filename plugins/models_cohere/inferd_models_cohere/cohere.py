"""Command-R: attention and MLP in parallel, LayerNorm without biases, heads rotated by neighbours,
scaled logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.contracts.model import BuildContext
from inferd.layers import (
    DecoderLM,
    DecoderShape,
    Fields,
    LayerNorm,
    NormedAttention,
    ParallelBlock,
    Parts,
    SelfAttention,
    head_order,
)


class CohereNorm(LayerNorm):
    suffixes = ("weight",)


class CohereNormedAttention(NormedAttention):
    """With a LayerNorm for each head of q and k, of weights of its own."""

    def __init__(self, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        q, k = ((heads, shape.head_dim) for heads in (shape.num_heads, shape.num_kv_heads))
        order = head_order(shape)
        self.q_norm = CohereNorm(q, shape.norm_eps, build, order=order)
        self.k_norm = CohereNorm(k, shape.norm_eps, build, order=order)
        self.normed = (q, k)


def cohere_shape(fields: Fields) -> DecoderShape:
    bias = fields.flag("attention_bias")
    return replace(
        DecoderShape.read(fields),
        qkv_bias=bias,
        o_bias=bias,
        interleaved=True,
        logit_scale=fields.number("logit_scale", 0.0625),
    )


class CohereForCausalLM(DecoderLM):
    def choose_parts(self, hf: Mapping[str, Any]) -> Parts:
        attention = CohereNormedAttention if Fields(hf).flag("use_qk_norm") else SelfAttention
        return Parts(norm=CohereNorm, attention=attention, block=ParallelBlock)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        names = {"rms_norm_eps": "layer_norm_eps"}
        fields = Fields(hf, names, rms_norm_eps=1e-5, tie_word_embeddings=True)
        return replace(cohere_shape(fields), theta=500_000.0)
