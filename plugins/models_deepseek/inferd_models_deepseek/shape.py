"""LatentShape: the numbers of a decoder with latent attention and grouped experts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch

from inferd.contracts.attention import KVSpec
from inferd.layers import Fields, GroupShape
from inferd.layers.rope_config import Rope


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentShape(GroupShape):
    """`head_dim` is the part of a head that is rotated."""

    query_rank: int | None = None  # None: queries are not compressed
    latent_dim: int = 1
    plain_dim: int = 1  # elements of a head that are not rotated
    value_dim: int = 1
    score_scale: float = 1.0

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Raises UnsupportedModel for fewer KV heads than heads: all share the latent anyway."""
        shape = cls.read(fields).with_experts(fields).with_groups(fields)
        if shape.num_kv_heads != shape.num_heads:
            expected = f"{shape.num_heads}, as num_attention_heads"
            raise fields.unusable("num_key_value_heads", shape.num_kv_heads, expected)
        compressed = fields.get("q_lora_rank") is not None
        plain, bias = fields.count("qk_nope_head_dim"), fields.flag("attention_bias")
        return replace(
            shape,
            query_rank=fields.count("q_lora_rank") if compressed else None,
            latent_dim=fields.count("kv_lora_rank"),
            plain_dim=plain,
            value_dim=fields.count("v_head_dim"),
            score_scale=score_scale(fields.hf, plain + shape.head_dim),
            qkv_bias=bias,
            o_bias=bias,
            interleaved=fields.flag("rope_interleave", True),
        )

    def kv_spec(self, dtype: torch.dtype) -> KVSpec:
        """(latent_dim + head_dim) * bytes of an element for each token of a layer."""
        size = self.latent_dim + self.head_dim
        return KVSpec(1, size, dtype, "latent", value_dim=self.latent_dim)


def score_scale(hf: Mapping[str, Any], size: int) -> float:
    """1 / sqrt(size), times what a stretched rotation adds where it says so (YaRN)."""
    rope, stretch = Rope.read(hf, size, served=1), 1.0
    if rope.kind != "default" and rope.parameters.get("mscale_all_dim"):
        factor = rope.number("factor")
        stretch += 0.1 * rope.number("mscale_all_dim") * math.log(max(factor, 1.0))
    return float(size**-0.5 * stretch**2)
