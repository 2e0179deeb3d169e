"""OLMo 3: OLMo 2 with a window on three layers of four; only the others' rotation is stretched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferd.contracts.model import BuildContext
from inferd.layers import LAYER_TYPES, Decoder, DecoderShape, Fields, Rotary, rope_of_kind

from .olmo2 import Olmo2ForCausalLM, olmo2_shape

PATTERN = 4  # layers from one that sees everything to the next
THETA = 500_000.0


def kinds(hf: Mapping[str, Any]) -> list[Any]:
    fields = Fields(hf)
    layers = fields.count("num_hidden_layers")
    named = fields.per_layer("layer_types", LAYER_TYPES, layers)
    return named or [LAYER_TYPES[(layer + 1) % PATTERN != 0] for layer in range(layers)]


def rope_of(hf: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """In the older spelling transformers takes rope_theta and rope_scaling for full layers only."""
    if kind == "sliding_attention":
        return rope_of_kind(hf, kind, THETA, {})
    older = {"rope_theta": hf.get("rope_theta", THETA), "rope_scaling": hf.get("rope_scaling")}
    return rope_of_kind(hf, kind, THETA, older)


class Olmo3Decoder(Decoder):
    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary]:
        hf = build.config.hf
        by_kind = {
            kind: Rotary(shape.head_dim, build, hf=rope_of(hf, kind)) for kind in LAYER_TYPES
        }
        return [by_kind[kind] for kind in kinds(hf)]


class Olmo3ForCausalLM(Olmo2ForCausalLM):
    decoder = Olmo3Decoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, rms_norm_eps=1e-5)
        windowed = [kind == "sliding_attention" for kind in kinds(hf)]
        return olmo2_shape(fields).with_window(fields, windowed)
