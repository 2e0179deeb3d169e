"""DeepSeek-V3: latent attention, an MLP in the first layers, grouped experts in the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from inferd.contracts.attention import AttentionRequest
from inferd.contracts.model import BuildContext, ModelConfig
from inferd.layers import (
    GATE_UP,
    AngleRotary,
    Decoder,
    DecoderLM,
    DecoderShape,
    Fields,
    Parts,
    grouped_or_dense,
)

from .latent import LatentSelfAttention
from .shape import LatentShape

NAMES = {"num_experts": "n_routed_experts", "head_dim": "qk_rope_head_dim"}
SIZES = {"kv_lora_rank": 512, "q_lora_rank": 1536, "v_head_dim": 128}
HEADS = {"qk_nope_head_dim": 128, "head_dim": 64}


class LatentDecoder(Decoder):
    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[AngleRotary]:
        rotary = AngleRotary(shape.head_dim, build, theta=shape.theta)
        return [rotary] * shape.num_layers


class DeepseekV3ForCausalLM(DecoderLM):
    packed = GATE_UP
    parts = Parts(attention=LatentSelfAttention, mlp=grouped_or_dense)
    decoder = LatentDecoder
    drafts_follow = True

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf,
            NAMES,
            num_key_value_heads=128,
            num_experts=256,
            num_experts_per_tok=8,
            moe_intermediate_size=2048,
            n_shared_experts=1,
            n_group=8,
            topk_group=4,
            routed_scaling_factor=2.5,
            first_k_dense_replace=3,
            **SIZES,
            **HEADS,
        )
        return replace(LatentShape.of(fields), renormalized=fields.flag("norm_topk_prob", True))

    @classmethod
    def attention_request(
        cls, config: ModelConfig, platform: str, block_size: int
    ) -> AttentionRequest:
        spec = cast("LatentShape", cls.read_shape(config.hf)).kv_spec(config.dtype)
        return replace(
            super().attention_request(config, platform, block_size),
            num_kv_heads=spec.num_kv_heads,
            head_dim=spec.head_dim,
            value_dim=spec.value_dim,
        )
