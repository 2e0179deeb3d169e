"""Command-R7B: Command-R with a window on three layers of four, and no rotation on the others."""

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
    ParallelBlock,
    Parts,
    Rotary,
)

from .cohere import CohereNorm, cohere_shape

PATTERN = 4  # layers from one that sees everything to the next


class Cohere2Decoder(Decoder):
    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary | NoRotary]:
        rotary, none = Rotary(shape.head_dim, build), NoRotary(shape.head_dim, build)
        return [none if window is None else rotary for window in shape.windows]


class Cohere2ForCausalLM(DecoderLM):
    parts = Parts(norm=CohereNorm, block=ParallelBlock)
    decoder = Cohere2Decoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        names = {"rms_norm_eps": "layer_norm_eps", "head_dim": None}
        fields = Fields(hf, names, rms_norm_eps=1e-5, tie_word_embeddings=True)
        shape = cohere_shape(fields)
        kinds = fields.per_layer("layer_types", LAYER_TYPES, shape.num_layers)
        if kinds is None:
            pattern = fields.count("sliding_window_pattern", PATTERN)
            return shape.with_window(
                fields, [(layer + 1) % pattern != 0 for layer in range(shape.num_layers)]
            )
        return shape.with_window(fields, [kind == "sliding_attention" for kind in kinds])
