"""Gemma 2: norms around attention and MLP, soft-capped scores and logits, a window on every other
layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import LAYER_TYPES, DecoderLM, DecoderShape, Fields, Parts, SandwichBlock

from .gemma import GemmaDecoder, GemmaNorm, gemma_fields, gemma_shape

NAMES = {"hidden_act": "hidden_activation"}


def gemma2_shape(fields: Fields, types: list[Any]) -> DecoderShape:
    """What Gemma 2 and 3 have in common; `types` of layers where none are named."""
    shape = gemma_shape(fields)
    shape = replace(
        shape,
        scale=fields.number("query_pre_attn_scalar", 256, above=0.0) ** -0.5,
        logit_cap=fields.optional("final_logit_softcapping"),
    )
    types = fields.per_layer("layer_types", LAYER_TYPES, shape.num_layers) or types
    return shape.with_window(fields, [kind == "sliding_attention" for kind in types])


class Gemma2ForCausalLM(DecoderLM):
    parts = Parts(norm=GemmaNorm, block=SandwichBlock)
    decoder = GemmaDecoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = gemma_fields(
            hf,
            NAMES,
            hidden_act="gelu_pytorch_tanh",
            num_key_value_heads=4,
            attn_logit_softcapping=50.0,
            final_logit_softcapping=30.0,
        )
        layers = fields.count("num_hidden_layers")
        shape = gemma2_shape(fields, [LAYER_TYPES[1 - layer % 2] for layer in range(layers)])
        return replace(shape, soft_cap=fields.optional("attn_logit_softcapping"))
