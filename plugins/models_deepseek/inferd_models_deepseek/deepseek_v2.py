"""DeepSeek-V2: as V3, but experts are scored by a softmax and weighed by their scores as they are.

Shape suffixes: T tokens, M experts, C of them chosen for a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.layers import DecoderShape, Fields, GatedMLP, GroupMoE, Layer, Parts

from .deepseek_v3 import HEADS, NAMES, SIZES, DeepseekV3ForCausalLM
from .latent import LatentSelfAttention
from .shape import LatentShape

METHODS = ("greedy", "group_limited_greedy")


class SoftmaxMoE(GroupMoE):
    biased = False

    def choose(self, logits_TM: Tensor) -> tuple[Tensor, Tensor]:
        scores_TM = torch.softmax(logits_TM, dim=-1)
        if self.shape.num_groups > 1:
            best_TG = self.by_group(scores_TM).amax(-1)
            scores_TM = self.only_best_groups(scores_TM, best_TG, 0.0)
        weights_TC, chosen_TC = scores_TM.topk(self.shape.num_chosen, dim=-1)
        return chosen_TC, weights_TC


def experts_or_dense(shape: LatentShape, layer: int, build: BuildContext) -> Layer:
    kind = GatedMLP if layer < shape.dense_layers else SoftmaxMoE
    return kind(shape, layer, build)


class DeepseekV2ForCausalLM(DeepseekV3ForCausalLM):
    parts = Parts(attention=LatentSelfAttention, mlp=experts_or_dense)
    drafts_follow = False

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        method = hf.get("topk_method", "greedy")
        groups = {} if method == METHODS[1] else {"n_group": None, "topk_group": None}
        fields = Fields(
            hf,
            {**NAMES, "rope_interleave": None, **groups},
            num_experts=64,
            moe_intermediate_size=1407,
            n_shared_experts=2,
            routed_scaling_factor=1.0,
            first_k_dense_replace=0,
            **SIZES,
            **HEADS,
        )
        if method not in METHODS:
            raise fields.unusable("topk_method", method, " or ".join(METHODS))
        return replace(LatentShape.of(fields), mlp_bias=fields.flag("mlp_bias"))
