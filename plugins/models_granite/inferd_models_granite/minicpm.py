"""MiniCPM: Granite with the same multipliers under other names, but for scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.errors import UnsupportedModel
from inferd.layers import DecoderShape, Fields

from .granite import GraniteForCausalLM, GraniteShape


class MiniCPMForCausalLM(GraniteForCausalLM):
    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, tie_word_embeddings=True)
        if fields.get("num_experts"):
            raise UnsupportedModel("config.json: num_experts is not supported for MiniCPM")
        shape = GraniteShape.read(fields)
        bias = fields.flag("attention_bias")
        return replace(
            shape,
            qkv_bias=bias,
            o_bias=bias,
            embedding_scale=fields.number("scale_emb", 1.0),
            residual_scale=fields.number("scale_depth", 1.0) / math.sqrt(shape.num_layers),
            logit_scale=fields.number("dim_model_base", 1.0, above=0.0) / shape.hidden_size,
        )
