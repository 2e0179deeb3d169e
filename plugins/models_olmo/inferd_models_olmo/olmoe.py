"""OLMoE: experts for an MLP, RMS norms over all of q and all of k, which are then clipped.

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.layers import DecoderLM, DecoderShape, Fields, MoE, MoEShape, Parts

from .olmo2 import Olmo2Attention


@dataclass(frozen=True, slots=True, kw_only=True)
class OlmoeShape(MoEShape):
    clip: float | None = None  # q, k and v stay within plus and minus this


class OlmoeAttention(Olmo2Attention):
    def __init__(self, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        assert isinstance(shape, OlmoeShape)
        self._clip = shape.clip

    def project(self, x_TD: Tensor) -> Tensor:
        qkv = super().project(x_TD)
        return qkv if self._clip is None else qkv.clamp(-self._clip, self._clip)


class OlmoeForCausalLM(DecoderLM):
    parts = Parts(attention=OlmoeAttention, mlp=MoE)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf, {"head_dim": None}, rms_norm_eps=1e-5, num_experts=64, num_experts_per_tok=8
        )
        shape, bias = OlmoeShape.read(fields).with_experts(fields), fields.flag("attention_bias")
        return replace(
            shape,
            qkv_bias=bias,
            o_bias=bias,
            clip=fields.optional("clip_qkv"),
            expert_size=shape.intermediate_size,
            renormalized=fields.flag("norm_topk_prob"),
        )
