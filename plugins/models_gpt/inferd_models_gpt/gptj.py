"""GPT-J: attention and MLP in parallel, heads rotated in part and by neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inferd.contracts.model import BuildContext
from inferd.layers import (
    MLP,
    QKV,
    Decoder,
    DecoderLM,
    DecoderShape,
    LayerNorm,
    ParallelBlock,
    Parts,
    Rotary,
)

from .gpt2 import LAYERS, gpt_fields


class GPTJDecoder(Decoder):
    """Its configuration says nothing of the rotation but its size."""

    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary]:
        return [Rotary(shape.head_dim, build, rotated=shape.rotated, hf={})] * shape.num_layers


class GPTJForCausalLM(DecoderLM):
    packed = QKV
    names = LAYERS | {
        "transformer.wte": "model.embed_tokens",
        "transformer.ln_f": "model.norm",
        "ln_1": "input_layernorm",
        "attn": "self_attn",
        "attn.out_proj": "self_attn.o_proj",
        "mlp.fc_in": "mlp.up_proj",
        "mlp.fc_out": "mlp.down_proj",
    }
    ignored = (".attn.bias", ".attn.masked_bias", ".attn.embed_positions")
    parts = Parts(norm=LayerNorm, mlp=MLP, block=ParallelBlock)
    decoder = GPTJDecoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = gpt_fields(hf)
        shape = DecoderShape.read(fields)
        rotated = fields.count("rotary_dim", 64)
        if rotated % 2 or rotated > shape.head_dim:
            raise fields.unusable("rotary_dim", rotated, f"an even number up to {shape.head_dim}")
        return replace(shape, rotated=rotated, interleaved=True, mlp_bias=True, head_bias=True)
