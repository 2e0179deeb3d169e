"""SmolLM3: Llama with layers that do not rotate, one of four unless said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inferd.contracts.model import BuildContext
from inferd.layers import (
    LAYER_TYPES,
    Decoder,
    DecoderLM,
    DecoderShape,
    Fields,
    NoRotary,
    Rotary,
)


def rotating(fields: Fields, layers: int) -> list[bool]:
    """From no_rope_layers, which has 1 for a layer that does rotate, else by the interval."""
    named = fields.per_layer("no_rope_layers", (0, 1), layers)
    if named is not None:
        return [bool(layer) for layer in named]
    interval = fields.count("no_rope_layer_interval", 4)
    return [(layer + 1) % interval != 0 for layer in range(layers)]


class SmolLM3Decoder(Decoder):
    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary | NoRotary]:
        rotary = Rotary(shape.head_dim, build, theta=shape.theta)
        none = NoRotary(shape.head_dim, build)
        turning = rotating(Fields(build.config.hf), shape.num_layers)
        return [rotary if layer else none for layer in turning]


class SmolLM3ForCausalLM(DecoderLM):
    decoder = SmolLM3Decoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, num_key_value_heads=4, tie_word_embeddings=True, sliding_window=None)
        bias = fields.flag("attention_bias")
        shape = replace(
            DecoderShape.read(fields),
            theta=2_000_000.0,
            qkv_bias=bias,
            o_bias=bias,
            mlp_bias=fields.flag("mlp_bias"),
        )
        if not fields.flag("use_sliding_window"):
            return shape
        kinds = fields.per_layer("layer_types", LAYER_TYPES, shape.num_layers)
        if kinds is None:
            turning = rotating(fields, shape.num_layers)
            return shape.with_window(fields, [not layer for layer in turning])
        return shape.with_window(fields, [kind == "sliding_attention" for kind in kinds])
