"""Falcon: attention and MLP in parallel, a plain MLP, few KV heads. Three layouts:

- 7B: one KV head, one norm for attention and MLP;
- 40B, 180B and 11B (new_decoder_architecture): some KV heads, a norm each, or one;
- before them: as many KV heads as heads, or attention and MLP one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inferd.contracts.attention import AttentionRequest
from inferd.contracts.model import BuildContext, ModelConfig
from inferd.layers import (
    MLP,
    Block,
    Decoder,
    DecoderLM,
    DecoderShape,
    Fields,
    LayerNorm,
    NoRotary,
    ParallelBlock,
    Parts,
    PreNormBlock,
    Rotary,
    SelfAttention,
    TwoNormParallelBlock,
)

from .alibi import AlibiAttention, widened

FIELDS = {
    "intermediate_size": "ffn_hidden_size",
    "hidden_act": "activation",
    "rms_norm_eps": "layer_norm_epsilon",
    "head_dim": None,
}


class FalconDecoder(Decoder):
    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary | NoRotary]:
        if Fields(build.config.hf).flag("alibi"):
            return [NoRotary(widened(shape), build)] * shape.num_layers
        return super().rotaries(shape, build)


class FalconForCausalLM(DecoderLM):
    decoder = FalconDecoder
    packed = {}
    names = {
        "transformer.h": "model.layers",
        "transformer.word_embeddings": "model.embed_tokens",
        "transformer.ln_f": "model.norm",
        "ln_attn": "input_layernorm",
        "ln_mlp": "post_attention_layernorm",
        "self_attention.query_key_value": "self_attn.qkv_proj",
        "self_attention.dense": "self_attn.o_proj",
        "mlp.dense_h_to_4h": "mlp.up_proj",
        "mlp.dense_4h_to_h": "mlp.down_proj",
    }

    def choose_parts(self, hf: Mapping[str, Any]) -> Parts:
        fields = Fields(hf)
        block: type[Block]
        if fields.flag("new_decoder_architecture"):
            norms = fields.count("num_ln_in_parallel_attn", 2)
            block = TwoNormParallelBlock if norms == 2 else ParallelBlock
        else:
            block = ParallelBlock if fields.flag("parallel_attn", True) else PreNormBlock
        attention = AlibiAttention if fields.flag("alibi") else SelfAttention
        return Parts(norm=LayerNorm, attention=attention, mlp=MLP, block=block)

    @classmethod
    def attention_request(
        cls, config: ModelConfig, platform: str, block_size: int
    ) -> AttentionRequest:
        request = super().attention_request(config, platform, block_size)
        if Fields(config.hf).flag("alibi"):
            return replace(request, head_dim=widened(cls.read_shape(config.hf)))
        return request

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        bare = Fields(hf)
        names: dict[str, str | None] = {**FIELDS, "num_key_value_heads": None}
        kv_heads = bare.count("num_attention_heads")
        if bare.flag("new_decoder_architecture"):
            names["num_key_value_heads"] = "num_kv_heads"
        elif bare.flag("multi_query", True):
            kv_heads = 1
        fields = Fields(
            hf,
            names,
            num_key_value_heads=kv_heads,
            intermediate_size=4 * bare.count("hidden_size"),
            hidden_act="gelu",
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
        )
        bias = fields.flag("bias")
        return replace(
            DecoderShape.read(fields), qkv_bias=bias, o_bias=bias, mlp_bias=bias, stored="grouped"
        )
