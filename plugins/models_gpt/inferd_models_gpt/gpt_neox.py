"""GPT-NeoX and Pythia: attention and MLP in parallel with a norm each, one tensor for q, k and v by
head, heads rotated in part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inferd.contracts.model import BuildContext
from inferd.layers import (
    MLP,
    Decoder,
    DecoderLM,
    DecoderShape,
    Fields,
    LayerNorm,
    Parts,
    PreNormBlock,
    Rotary,
    TwoNormParallelBlock,
    rotated_size,
)

FIELDS = {"rms_norm_eps": "layer_norm_eps", "num_key_value_heads": None, "head_dim": None}


def rope_fields(hf: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the rotary layer reads, under the names it knows."""
    names = ("rope_scaling", "rope_parameters", "max_position_embeddings")
    theta, share = hf.get("rotary_emb_base"), hf.get("rotary_pct")
    said = {name: hf.get(name) for name in names}
    return {**said, "rope_theta": theta, "partial_rotary_factor": share}


class GPTNeoXDecoder(Decoder):
    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary]:
        hf = rope_fields(build.config.hf)
        return [Rotary(shape.head_dim, build, rotated=shape.rotated, hf=hf)] * shape.num_layers


class GPTNeoXForCausalLM(DecoderLM):
    packed = {}
    names = {
        "gpt_neox.layers": "model.layers",
        "gpt_neox.embed_in": "model.embed_tokens",
        "gpt_neox.final_layer_norm": "model.norm",
        "embed_out": "lm_head",
        "attention.query_key_value": "self_attn.qkv_proj",
        "attention.dense": "self_attn.o_proj",
        "mlp.dense_h_to_4h": "mlp.up_proj",
        "mlp.dense_4h_to_h": "mlp.down_proj",
    }
    ignored = (".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq")
    decoder = GPTNeoXDecoder

    def choose_parts(self, hf: Mapping[str, Any]) -> Parts:
        parallel = Fields(hf).flag("use_parallel_residual", True)
        block = TwoNormParallelBlock if parallel else PreNormBlock
        return Parts(norm=LayerNorm, mlp=MLP, block=block)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(hf, FIELDS, rms_norm_eps=1e-5, hidden_act="gelu")
        shape, bias = DecoderShape.read(fields), fields.flag("attention_bias", True)
        return replace(
            shape,
            rotated=rotated_size(rope_fields(hf), shape.head_dim, 0.25),
            qkv_bias=bias,
            o_bias=bias,
            mlp_bias=True,
            stored="grouped",
        )
