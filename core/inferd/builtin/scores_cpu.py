"""What happens to scores: a soft cap and ALiBi before their softmax, sinks beside them.

Shape suffixes: H query heads, N queries, L keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inferd.builtin.attention_torch import beside_sinks
from inferd.contracts.attention import AttentionParams


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """Nothing for most models."""

    soft_cap: float | None
    slopes_H: Tensor | None
    sinks_H: Tensor | None

    @classmethod
    def of(cls, params: AttentionParams) -> ScoreRule:
        return cls(params.soft_cap, params.alibi_slopes_H, params.sinks_H)

    def cap(self, scores: Tensor) -> None:
        if self.soft_cap is not None:
            scores.div_(self.soft_cap).tanh_().mul_(self.soft_cap)

    def lean(self, scores_NHL: Tensor, distance_NL: Tensor) -> None:
        """Towards near keys; the distance from a query to a key before it is negative."""
        if self.slopes_H is not None:
            lean_NHL = self.slopes_H.unsqueeze(1) * distance_NL.unsqueeze(1)
            scores_NHL.add_(lean_NHL.to(scores_NHL.dtype))

    def weights(self, scores: Tensor, heads_first: bool) -> Tensor:
        """The softmax over keys; before them come queries and heads, in either order."""
        weights = torch.softmax(scores, -1)
        if self.sinks_H is None:
            return weights
        heads = len(self.sinks_H)
        shape = (heads, -1) if heads_first else (-1, heads)
        sinks = self.sinks_H.unsqueeze(1) if heads_first else self.sinks_H
        share = beside_sinks(scores.view(*shape, scores.shape[-1]), sinks)
        return weights.mul_(share.view(*scores.shape[:-1], 1))
