"""Gemma: Llama with scaled embeddings, norms whose weights are stored less one, and tied weights.

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.errors import UnsupportedModel
from inferd.layers import Decoder, DecoderLM, DecoderShape, Fields, Parts, RMSNorm
from inferd.types import Batch


class GemmaNorm(RMSNorm):
    offset = 1.0


class GemmaDecoder(Decoder):
    """The embeddings' factor is rounded to the model's dtype, as it was in training."""

    def __init__(self, parts: Parts, shape: DecoderShape, build: BuildContext) -> None:
        super().__init__(parts, shape, build)
        self._factor = float(torch.tensor(shape.hidden_size**0.5).to(build.config.dtype))

    def embed(self, batch: Batch) -> Tensor:
        x_TD: Tensor = self.embed_tokens(batch.ids_T)
        return x_TD * self._factor


def gemma_fields(hf: Mapping[str, Any], names: Mapping[str, str], **defaults: Any) -> Fields:
    """Raises UnsupportedModel for a model of the family that is no causal one."""
    fields = Fields(hf, names, head_dim=256, tie_word_embeddings=True, **defaults)
    if fields.flag("use_bidirectional_attention"):
        raise UnsupportedModel("config.json: use_bidirectional_attention is not supported")
    return fields


def gemma_shape(fields: Fields) -> DecoderShape:
    bias = fields.flag("attention_bias")
    return replace(DecoderShape.read(fields), qkv_bias=bias, o_bias=bias)


class GemmaForCausalLM(DecoderLM):
    parts = Parts(norm=GemmaNorm)
    decoder = GemmaDecoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = gemma_fields(hf, {}, hidden_act="gelu_pytorch_tanh", num_key_value_heads=16)
        shape = gemma_shape(fields)
        if shape.hidden_act == "gelu":  # the first checkpoints say so and mean its approximation
            shape = replace(shape, hidden_act="gelu_pytorch_tanh")
        return shape
