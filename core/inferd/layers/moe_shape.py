"""The shape of a decoder with a mixture of experts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from inferd.layers.fields import Fields
from inferd.layers.shape import DecoderShape


@dataclass(frozen=True, slots=True, kw_only=True)
class MoEShape(DecoderShape):
    num_experts: int = 1
    num_chosen: int = 1  # experts of a token
    expert_size: int = 1  # inner size of an expert
    renormalized: bool = False  # weights of the chosen experts sum to one
    router_bias: bool = False
    expert_bias: bool = False

    def with_experts(self, fields: Fields) -> Self:
        """Raises UnsupportedModel for more experts for a token than there are."""
        experts, chosen = fields.count("num_experts"), fields.count("num_experts_per_tok")
        if chosen > experts:
            raise fields.unusable("num_experts_per_tok", chosen, f"at most num_experts, {experts}")
        return replace(self, num_experts=experts, num_chosen=chosen)
