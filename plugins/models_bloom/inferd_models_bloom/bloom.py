"""BLOOM: ALiBi instead of a rotation, a norm of the embeddings, a plain MLP.

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.errors import UnsupportedModel
from inferd.layers import (
    MLP,
    Decoder,
    DecoderLM,
    DecoderShape,
    Fields,
    LayerNorm,
    NoRotary,
    Parts,
    alibi_slopes,
)
from inferd.types import Batch

FIELDS: dict[str, str | tuple[str, ...] | None] = {
    "hidden_size": ("n_embed", "hidden_size"),
    "num_hidden_layers": ("n_layer", "num_hidden_layers"),
    "num_attention_heads": ("n_head", "num_attention_heads"),
    "rms_norm_eps": "layer_norm_epsilon",
    "intermediate_size": None,
    "hidden_act": None,
    "num_key_value_heads": None,
    "head_dim": None,
}


class BloomDecoder(Decoder):
    def __init__(self, parts: Parts, shape: DecoderShape, build: BuildContext) -> None:
        super().__init__(parts, shape, build)
        self.embed_norm = parts.norm(shape.hidden_size, shape.norm_eps, build)

    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[NoRotary]:
        return [NoRotary(shape.head_dim, build)] * shape.num_layers

    def embed(self, batch: Batch) -> Tensor:
        x_TD: Tensor = self.embed_norm(super().embed(batch))[0]
        return x_TD


class BloomForCausalLM(DecoderLM):
    packed = {}
    names = {
        "transformer.h": "model.layers",
        "h": "model.layers",
        "transformer.word_embeddings": "model.embed_tokens",
        "word_embeddings": "model.embed_tokens",
        "transformer.word_embeddings_layernorm": "model.embed_norm",
        "word_embeddings_layernorm": "model.embed_norm",
        "transformer.ln_f": "model.norm",
        "ln_f": "model.norm",
        "self_attention.query_key_value": "self_attn.qkv_proj",
        "self_attention.dense": "self_attn.o_proj",
        "mlp.dense_h_to_4h": "mlp.up_proj",
        "mlp.dense_4h_to_h": "mlp.down_proj",
    }
    parts = Parts(norm=LayerNorm, mlp=MLP)
    decoder = BloomDecoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf,
            FIELDS,
            intermediate_size=4 * Fields(hf, FIELDS).count("hidden_size"),
            hidden_act="gelu_pytorch_tanh",
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
        )
        if fields.flag("apply_residual_connection_post_layernorm"):
            raise UnsupportedModel(
                "config.json: apply_residual_connection_post_layernorm is not supported"
            )
        shape = DecoderShape.read(fields)
        slopes = alibi_slopes(shape.num_heads)
        return replace(
            shape,
            alibi_slopes=slopes,
            qkv_bias=True,
            o_bias=True,
            mlp_bias=True,
            stored="grouped",
        )
