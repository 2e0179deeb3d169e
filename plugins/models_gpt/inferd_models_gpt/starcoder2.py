"""StarCoder 2: Llama with LayerNorm, biases, a plain MLP and a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import MLP, QKV, DecoderLM, DecoderShape, Fields, LayerNorm, Parts


class Starcoder2ForCausalLM(DecoderLM):
    packed = QKV
    names = {"mlp.c_fc": "mlp.up_proj", "mlp.c_proj": "mlp.down_proj"}
    parts = Parts(norm=LayerNorm, mlp=MLP)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf,
            {"rms_norm_eps": "norm_epsilon"},
            rms_norm_eps=1e-5,
            num_key_value_heads=2,
            hidden_act="gelu_pytorch_tanh",
            tie_word_embeddings=True,
            sliding_window=None,
        )
        shape, bias = DecoderShape.read(fields), fields.flag("use_bias", True)
        shape = replace(shape, qkv_bias=bias, o_bias=bias, mlp_bias=bias)
        return shape.with_window(fields, [True] * shape.num_layers)
