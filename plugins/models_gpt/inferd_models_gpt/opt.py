"""OPT: LayerNorm, learned positions from the third row on, a plain MLP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.errors import UnsupportedModel
from inferd.layers import MLP, QKV, DecoderLM, DecoderShape, Fields, LayerNorm, Parts

from .positions import LearnedPositions

FIELDS = {
    "intermediate_size": "ffn_dim",
    "hidden_act": "activation_function",
    "rms_norm_eps": None,
    "num_key_value_heads": None,
    "head_dim": None,
}
ONLY = {  # what other values would need is not here: opt-350m has them
    "do_layer_norm_before": True,
    "_remove_final_layer_norm": False,
    "layer_norm_elementwise_affine": True,
}


class OPTDecoder(LearnedPositions):
    offset = 2


class OPTForCausalLM(DecoderLM):
    packed = QKV
    names = {
        "model.decoder": "model",
        "decoder": "model",
        "model.decoder.final_layer_norm": "model.norm",
        "decoder.final_layer_norm": "model.norm",
        "self_attn_layer_norm": "input_layernorm",
        "final_layer_norm": "post_attention_layernorm",
        "self_attn.out_proj": "self_attn.o_proj",
        "fc1": "mlp.up_proj",
        "fc2": "mlp.down_proj",
    }
    parts = Parts(norm=LayerNorm, mlp=MLP)
    decoder = OPTDecoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, FIELDS, hidden_act="relu", rms_norm_eps=1e-5, tie_word_embeddings=True)
        for key, only in ONLY.items():
            if fields.flag(key, only) != only:
                raise fields.unusable(key, not only, f"{only}".lower())
        shape, bias = DecoderShape.read(fields), fields.flag("enable_bias", True)
        if fields.count("word_embed_proj_dim", shape.hidden_size) != shape.hidden_size:
            raise UnsupportedModel("config.json: word_embed_proj_dim must be hidden_size")
        return replace(shape, qkv_bias=bias, o_bias=bias, mlp_bias=bias)
