"""Phi 3, 3.5 and 4: Llama with fused projections, a window, and heads that may rotate in part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inferd.contracts.model import BuildContext
from inferd.layers import Decoder, DecoderLM, DecoderShape, Fields, Rotary, rotated_size

OLD_NAMES = ("su", "yarn")  # for what is now called longrope


def rope_fields(hf: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the rotary layer reads, with longrope by its name of today."""
    key = "rope_scaling" if hf.get("rope_scaling") else "rope_parameters"
    rope = hf.get(key)
    if not isinstance(rope, Mapping):
        return hf
    if (rope.get("rope_type") or rope.get("type")) in OLD_NAMES:
        return {**hf, key: {**rope, "rope_type": "longrope"}}
    return hf


class Phi3Decoder(Decoder):
    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary]:
        hf = rope_fields(build.config.hf)
        return [Rotary(shape.head_dim, build, rotated=shape.rotated, hf=hf)] * shape.num_layers


class Phi3ForCausalLM(DecoderLM):
    packed = {}
    decoder = Phi3Decoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, {"head_dim": None}, rms_norm_eps=1e-5, sliding_window=None)
        shape = DecoderShape.read(fields).with_window(
            fields, [True] * fields.count("num_hidden_layers")
        )
        return replace(
            shape,
            rotated=rotated_size(hf, shape.head_dim, 1.0),
            stored="fused",
            gate_up_fused=True,
        )
