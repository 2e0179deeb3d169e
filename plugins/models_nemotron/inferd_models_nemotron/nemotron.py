"""Nemotron: LayerNorm whose weights are stored less one, a plain MLP with the square of relu, heads
rotated in part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import (
    MLP,
    QKV,
    DecoderLM,
    DecoderShape,
    Fields,
    LayerNorm,
    Parts,
    rotated_size,
)


class NemotronNorm(LayerNorm):
    offset = 1.0


class NemotronForCausalLM(DecoderLM):
    packed = QKV
    parts = Parts(norm=NemotronNorm, mlp=MLP)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        names = {"rms_norm_eps": "norm_eps"}
        fields = Fields(hf, names, rms_norm_eps=1e-5, hidden_act="relu2")
        shape, bias = DecoderShape.read(fields), fields.flag("attention_bias")
        return replace(
            shape,
            rotated=rotated_size(hf, shape.head_dim, 0.5),
            qkv_bias=bias,
            o_bias=bias,
            mlp_bias=fields.flag("mlp_bias"),
        )
