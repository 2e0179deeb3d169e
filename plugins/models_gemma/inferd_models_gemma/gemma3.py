"""Gemma 3, text: Gemma 2 with QK-norm instead of capped scores, five windows to one full layer, and
another rotation for each kind of layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferd.contracts.model import BuildContext
from inferd.errors import UnsupportedModel
from inferd.layers import (
    LAYER_TYPES,
    DecoderLM,
    DecoderShape,
    Fields,
    Parts,
    QKNormAttention,
    Rotary,
    SandwichBlock,
    rope_of_kind,
)

from .gemma import GemmaDecoder, GemmaNorm, gemma_fields
from .gemma2 import NAMES, gemma2_shape

GLOBAL_THETA, LOCAL_THETA = 1_000_000.0, 10_000.0
PATTERN = 6  # layers from one that sees everything to the next


def rope_of(hf: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    if kind == "sliding_attention":
        theta = hf.get("rope_local_base_freq", LOCAL_THETA)
        return rope_of_kind(hf, kind, LOCAL_THETA, {"rope_theta": theta})
    older = {
        "rope_theta": hf.get("rope_theta", GLOBAL_THETA),
        "rope_scaling": hf.get("rope_scaling"),
    }
    return rope_of_kind(hf, kind, GLOBAL_THETA, older)


class Gemma3Attention(QKNormAttention):
    norm = GemmaNorm


class Gemma3Decoder(GemmaDecoder):
    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary]:
        full, windowed = (
            Rotary(shape.head_dim, build, hf=rope_of(build.config.hf, kind)) for kind in LAYER_TYPES
        )
        return [full if kind == "full_attention" else windowed for kind in kinds(build.config.hf)]


def kinds(hf: Mapping[str, Any]) -> list[Any]:
    fields = Fields(hf)
    layers = fields.count("num_hidden_layers")
    found = fields.per_layer("layer_types", LAYER_TYPES, layers)
    if found is None:
        pattern = fields.count("sliding_window_pattern", PATTERN)
        found = [LAYER_TYPES[bool((layer + 1) % pattern)] for layer in range(layers)]
    return found


class Gemma3ForCausalLM(DecoderLM):
    parts = Parts(norm=GemmaNorm, attention=Gemma3Attention, block=SandwichBlock)
    decoder = Gemma3Decoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = gemma_fields(hf, NAMES, hidden_act="gelu_pytorch_tanh", num_key_value_heads=4)
        if fields.optional("attn_logit_softcapping") is not None:
            # transformers has the field and does not use it
            raise UnsupportedModel("config.json: attn_logit_softcapping is not supported")
        return gemma2_shape(fields, kinds(hf))
