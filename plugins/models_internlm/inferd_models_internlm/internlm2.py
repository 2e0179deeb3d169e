"""InternLM 2 and 2.5: Llama under other names, with q, k and v in one tensor by KV head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import GATE_UP, DecoderLM, DecoderShape, Fields


class InternLM2ForCausalLM(DecoderLM):
    packed = GATE_UP
    names = {
        "model.tok_embeddings": "model.embed_tokens",
        "output": "lm_head",
        "attention.wqkv": "self_attn.qkv_proj",
        "attention.wo": "self_attn.o_proj",
        "attention_norm": "input_layernorm",
        "feed_forward.w1": "mlp.gate_proj",
        "feed_forward.w3": "mlp.up_proj",
        "feed_forward.w2": "mlp.down_proj",
        "ffn_norm": "post_attention_layernorm",
    }

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, {"head_dim": None})
        bias = fields.flag("bias", True)
        return replace(DecoderShape.read(fields), qkv_bias=bias, o_bias=bias, stored="grouped")
