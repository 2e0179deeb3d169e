"""GPT-2: LayerNorm, learned positions, a plain MLP, and matrices that are stored transposed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from inferd.contracts.loader import RawTensor
from inferd.layers import (
    MLP,
    DecoderLM,
    DecoderShape,
    Fields,
    LayerNorm,
    LinearLayer,
    Parts,
    SelfAttention,
)

from .positions import LearnedPositions

SIZES = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
    "hidden_act": "activation_function",
    "rms_norm_eps": "layer_norm_epsilon",
    "num_key_value_heads": None,
    "head_dim": None,
}
LAYERS = {"transformer.h": "model.layers", "h": "model.layers"}


def gpt_fields(hf: Mapping[str, Any], **defaults: Any) -> Fields:
    """Under the names of GPT-2 and GPT-J; the MLP is four times as wide unless said."""
    inner = 4 * Fields(hf, SIZES).count("hidden_size")
    return Fields(
        hf,
        SIZES,
        intermediate_size=inner,
        hidden_act="gelu_new",
        rms_norm_eps=1e-5,
        **defaults,
    )


class Conv1D(LinearLayer):
    """Stored as [in, out]."""

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:
        if suffix == "weight" and len(tensor.shape) == 2:
            turned = tensor.unpack(tensor.data.dtype).T.contiguous()
            tensor = RawTensor(tensor.name, tuple(turned.shape), tensor.storage, turned)
        super().load_weight(suffix, part, tensor)

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {key: shape[::-1] for key, shape in super().expected().items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class GPT2Shape(DecoderShape):
    scale_by_layer: bool = False  # scores also divided by the layer's number, from 1


class GPT2Attention(SelfAttention):
    linear = Conv1D

    def scale(self, shape: DecoderShape, layer: int) -> float | None:
        assert isinstance(shape, GPT2Shape)
        scale = shape.head_dim**-0.5 if shape.scale is None else shape.scale
        return scale / (layer + 1) if shape.scale_by_layer else scale


class GPT2MLP(MLP):
    linear = Conv1D


class GPT2Decoder(LearnedPositions):
    length = "n_positions"


class GPT2LMHeadModel(DecoderLM):
    packed = {}
    names = LAYERS | {
        "transformer.wte": "model.embed_tokens",
        "transformer.wpe": "model.embed_positions",
        "transformer.ln_f": "model.norm",
        "wte": "model.embed_tokens",
        "wpe": "model.embed_positions",
        "ln_f": "model.norm",
        "ln_1": "input_layernorm",
        "ln_2": "post_attention_layernorm",
        "attn.c_attn": "self_attn.qkv_proj",
        "attn.c_proj": "self_attn.o_proj",
        "mlp.c_fc": "mlp.up_proj",
        "mlp.c_proj": "mlp.down_proj",
    }
    ignored = (".attn.bias", ".attn.masked_bias")
    parts = Parts(norm=LayerNorm, attention=GPT2Attention, mlp=GPT2MLP)
    decoder = GPT2Decoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = gpt_fields(hf, tie_word_embeddings=True)
        return replace(
            GPT2Shape.read(fields),
            scale_by_layer=fields.flag("scale_attn_by_inverse_layer_idx"),
            scale=None if fields.flag("scale_attn_weights", True) else 1.0,
            qkv_bias=True,
            o_bias=True,
            mlp_bias=True,
            stored="fused",
        )
