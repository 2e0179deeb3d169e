"""Phi 1, 1.5 and 2: attention and MLP in parallel, LayerNorm, biases everywhere, heads rotated in
part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.contracts.model import BuildContext
from inferd.layers import (
    MLP,
    QKV,
    DecoderLM,
    DecoderShape,
    Fields,
    LayerNorm,
    NormedAttention,
    ParallelBlock,
    Parts,
    SelfAttention,
    head_order,
    rotated_size,
)


class PhiNormedAttention(NormedAttention):
    """With a LayerNorm for the heads of q and one for those of k."""

    def __init__(self, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        order = head_order(shape)
        self.q_norm = LayerNorm(shape.head_dim, shape.norm_eps, build, order=order)
        self.k_norm = LayerNorm(shape.head_dim, shape.norm_eps, build, order=order)
        self.normed = ((shape.head_dim,), (shape.head_dim,))


class PhiForCausalLM(DecoderLM):
    packed = QKV
    names = {
        "self_attn.dense": "self_attn.o_proj",
        "self_attn.q_layernorm": "self_attn.q_norm",
        "self_attn.k_layernorm": "self_attn.k_norm",
        "mlp.fc1": "mlp.up_proj",
        "mlp.fc2": "mlp.down_proj",
        "model.final_layernorm": "model.norm",
    }

    def choose_parts(self, hf: Mapping[str, Any]) -> Parts:
        normed = Fields(hf).flag("qk_layernorm")
        attention = PhiNormedAttention if normed else SelfAttention
        return Parts(norm=LayerNorm, attention=attention, mlp=MLP, block=ParallelBlock)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf, {"rms_norm_eps": "layer_norm_eps"}, rms_norm_eps=1e-5, hidden_act="gelu_new"
        )
        shape = DecoderShape.read(fields)
        return replace(
            shape,
            rotated=rotated_size(hf, shape.head_dim, 0.5),
            qkv_bias=True,
            o_bias=True,
            mlp_bias=True,
            head_bias=True,
        )
