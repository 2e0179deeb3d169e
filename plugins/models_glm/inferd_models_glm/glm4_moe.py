"""GLM-4.5 and 4.6: Llama with half heads rotated, QK-norm in some, and DeepSeek-V3's experts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferd.layers import (
    DecoderLM,
    DecoderShape,
    Fields,
    GroupShape,
    Parts,
    QKNormAttention,
    SelfAttention,
    grouped_or_dense,
    rotated_size,
)


class Glm4MoeForCausalLM(DecoderLM):
    drafts_follow = True

    def choose_parts(self, hf: Mapping[str, Any]) -> Parts:
        normed = Fields(hf).flag("use_qk_norm")
        return Parts(attention=QKNormAttention if normed else SelfAttention, mlp=grouped_or_dense)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf,
            {"num_experts": "n_routed_experts"},
            rms_norm_eps=1e-5,
            num_key_value_heads=8,
            num_experts=128,
            num_experts_per_tok=8,
            moe_intermediate_size=1408,
            n_shared_experts=1,
            routed_scaling_factor=1.0,
            first_k_dense_replace=1,
        )
        shape = GroupShape.read(fields).with_experts(fields).with_groups(fields)
        return replace(
            shape,
            qkv_bias=fields.flag("attention_bias"),
            renormalized=fields.flag("norm_topk_prob", True),
            rotated=rotated_size(hf, shape.head_dim, 0.5),
        )
