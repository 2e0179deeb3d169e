"""StableLM: Llama with LayerNorm and heads rotated in part; StableLM 2 12B also runs attention and
MLP in parallel and norms each head.

Shape suffixes: T tokens, H heads, E head size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inferd.contracts.model import BuildContext
from inferd.layers import (
    DecoderLM,
    DecoderShape,
    Fields,
    Layer,
    LayerNorm,
    NormedAttention,
    ParallelBlock,
    Parts,
    PreNormBlock,
    SelfAttention,
    head_order,
    rotated_size,
)


class HeadNorm(LayerNorm):
    suffixes = ("weight",)


class HeadNorms(Layer):
    """A LayerNorm for each head. The checkpoint has their weights apart; they are one product."""

    def __init__(self, heads: int, shape: DecoderShape, build: BuildContext) -> None:
        super().__init__()
        order = head_order(shape)
        self._eps = shape.norm_eps
        self._norms = [
            HeadNorm(shape.head_dim, shape.norm_eps, build, order=order) for _ in range(heads)
        ]
        self.norms = nn.ModuleList(self._norms)

    def forward(self, x_THE: Tensor) -> tuple[Tensor, None]:
        weight_HE = torch.stack([norm.weight for norm in self._norms])
        return F.layer_norm(x_THE, x_THE.shape[-1:], eps=self._eps) * weight_HE, None


class StableLmNormedAttention(NormedAttention):
    def __init__(self, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        self.q_norm = HeadNorms(shape.num_heads, shape, build)
        self.k_norm = HeadNorms(shape.num_kv_heads, shape, build)
        self.normed = (
            (shape.num_heads, shape.head_dim),
            (shape.num_kv_heads, shape.head_dim),
        )


class StableLmForCausalLM(DecoderLM):
    names = {
        "self_attn.q_layernorm": "self_attn.q_norm",
        "self_attn.k_layernorm": "self_attn.k_norm",
    }

    def choose_parts(self, hf: Mapping[str, Any]) -> Parts:
        fields = Fields(hf)
        normed, parallel = fields.flag("qk_layernorm"), fields.flag("use_parallel_residual")
        return Parts(
            norm=LayerNorm,
            attention=StableLmNormedAttention if normed else SelfAttention,
            block=ParallelBlock if parallel else PreNormBlock,
        )

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        names = {"rms_norm_eps": "layer_norm_eps", "head_dim": None}
        fields = Fields(hf, names, rms_norm_eps=1e-5, num_key_value_heads=32)
        shape = DecoderShape.read(fields)
        return replace(
            shape,
            rotated=rotated_size(hf, shape.head_dim, 0.25),
            qkv_bias=fields.flag("use_qkv_bias"),
        )
