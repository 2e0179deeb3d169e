"""EXAONE 4: norms after attention and MLP, QK-norm; with windows, only the layers that have one
rotate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferd.contracts.model import BuildContext
from inferd.layers import (
    LAYER_TYPES,
    Decoder,
    DecoderLM,
    DecoderShape,
    Fields,
    NoRotary,
    Parts,
    PostNormBlock,
    QKNormAttention,
    Rotary,
)

PATTERN = 4  # layers from one that sees everything to the next


class Exaone4Decoder(Decoder):
    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary | NoRotary]:
        rotary, none = Rotary(shape.head_dim, build), NoRotary(shape.head_dim, build)
        if Fields(build.config.hf).get("sliding_window", 0) is None:
            return [rotary] * shape.num_layers
        return [none if window is None else rotary for window in shape.windows]


class Exaone4ForCausalLM(DecoderLM):
    parts = Parts(attention=QKNormAttention, block=PostNormBlock)
    decoder = Exaone4Decoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, rms_norm_eps=1e-5, num_key_value_heads=32)
        shape = DecoderShape.read(fields)
        kinds = fields.per_layer("layer_types", LAYER_TYPES, shape.num_layers)
        if kinds is None:
            pattern = fields.count("sliding_window_pattern", PATTERN)
            return shape.with_window(
                fields, [(layer + 1) % pattern != 0 for layer in range(shape.num_layers)]
            )
        return shape.with_window(fields, [kind == "sliding_attention" for kind in kinds])
