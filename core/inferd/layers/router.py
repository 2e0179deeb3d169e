"""GroupRouter: which experts a token goes to, chosen within a few groups of them.

Shape suffixes: T tokens, D hidden, M experts, C of them chosen for a token, G groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext
from inferd.layers.expert_bank import ExpertList
from inferd.layers.fields import Fields
from inferd.layers.layer import Layer
from inferd.layers.mlp import GatedMLP
from inferd.layers.moe_shape import MoEShape
from inferd.layers.weight import check_suffix, unpack_checked

BIAS = "e_score_correction_bias"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupShape(MoEShape):
    num_groups: int = 1
    num_chosen_groups: int = 1
    routed_scale: float = 1.0
    shared_size: int = 1  # inner size of the experts that every token uses, as one
    dense_layers: int = 0  # the first layers, which have an MLP

    def with_groups(self, fields: Fields) -> Self:
        """Raises UnsupportedModel for groups that the experts cannot be cut into."""
        experts, chosen = self.num_experts, self.num_chosen
        groups = fields.count("n_group", 1, null=1)
        among = fields.count("topk_group", 1, null=1)
        if experts % groups or experts < 2 * groups:
            raise fields.unusable(
                "n_group", groups, f"a divisor of the {experts} experts, with two or more in each"
            )
        if among > groups or among * (experts // groups) < chosen:
            raise fields.unusable(
                "topk_group", among, f"at most {groups} groups, with {chosen} experts or more"
            )
        size = fields.count("moe_intermediate_size")
        return replace(
            self,
            expert_size=size,
            shared_size=size * fields.count("n_shared_experts"),
            num_groups=groups,
            num_chosen_groups=among,
            routed_scale=fields.number("routed_scaling_factor"),
            dense_layers=fields.count("first_k_dense_replace", null=0, least=0),
        )


class Router(Layer):
    """Scores of all experts in float32, from weights that are kept so; a bias where it has one."""

    def __init__(self, shape: GroupShape, build: BuildContext, *, biased: bool) -> None:
        super().__init__()
        shapes = {"weight": (shape.num_experts, shape.hidden_size)}
        self._shapes: dict[str, tuple[int, ...]] = shapes | (
            {BIAS: (shape.num_experts,)} if biased else {}
        )
        self._device = build.device
        self._values: dict[str, Tensor] = {}

    def forward(self, x_TD: Tensor) -> Tensor:
        return F.linear(x_TD.float(), self._values["weight"])

    def with_bias(self, scores_TM: Tensor) -> Tensor:
        return scores_TM + self._values[BIAS]

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        check_suffix(suffix, tensor, tuple(self._shapes))
        value = unpack_checked(tensor, self._shapes[suffix], torch.float32)
        self._values[suffix] = value.to(self._device)

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {(suffix, 0): shape for suffix, shape in self._shapes.items()}

    def missing(self) -> list[str]:
        return [suffix for suffix in self._shapes if suffix not in self._values]

    def finish(self) -> None:
        """Nothing to repack."""


class GroupMoE(Layer):
    """Experts by DeepSeek-V3's rule (arXiv:2412.19437), and one that every token uses.

    A sigmoid scores every expert. With a bias added, the best two of a group rank the groups and
    the best of the chosen groups are taken; weights are the scores without it.
    """

    biased = True

    def __init__(self, shape: GroupShape, layer: int, build: BuildContext) -> None:
        super().__init__()
        self.gate = Router(shape, build, biased=self.biased)
        self.experts = ExpertList(f"model.layers.{layer}.mlp", shape, build)
        alone = replace(shape, intermediate_size=shape.shared_size)
        self.shared_experts = GatedMLP(alone, layer, build, "mlp.shared_experts")
        self.shape = shape

    def forward(self, x_TD: Tensor) -> Tensor:
        chosen_TC, weights_TC = self.choose(self.gate(x_TD))
        routed_TD = self.experts(x_TD, chosen_TC, weights_TC * self.shape.routed_scale)
        out_TD: Tensor = routed_TD + self.shared_experts(x_TD)
        return out_TD

    def choose(self, logits_TM: Tensor) -> tuple[Tensor, Tensor]:
        """Experts of each token, and their weights before the scale."""
        scores_TM = logits_TM.sigmoid()
        ranked_TM = self.gate.with_bias(scores_TM)
        best_TG2 = self.by_group(ranked_TM).topk(2, dim=-1).values
        ranked_TM = self.only_best_groups(ranked_TM, best_TG2.sum(-1), -math.inf)
        chosen_TC = ranked_TM.topk(self.shape.num_chosen, dim=-1).indices
        weights_TC = scores_TM.gather(1, chosen_TC)
        if self.shape.renormalized:
            weights_TC = weights_TC / (weights_TC.sum(-1, keepdim=True) + 1e-20)
        return chosen_TC, weights_TC

    def by_group(self, scores_TM: Tensor) -> Tensor:
        """[T, G, M / G]"""
        return scores_TM.view(len(scores_TM), self.shape.num_groups, -1)

    def only_best_groups(self, ranked_TM: Tensor, groups_TG: Tensor, other: float) -> Tensor:
        """With `other` for all experts of the groups that are not chosen."""
        best_TG = groups_TG.topk(self.shape.num_chosen_groups, dim=-1).indices
        hidden_TG = torch.ones_like(groups_TG, dtype=torch.bool).scatter_(1, best_TG, False)
        per_group = self.shape.num_experts // self.shape.num_groups
        return ranked_TM.masked_fill(hidden_TG.repeat_interleave(per_group, dim=1), other)


def grouped_or_dense(shape: GroupShape, layer: int, build: BuildContext) -> Layer:
    """GroupMoE, but an MLP in the first layers."""
    kind = GatedMLP if layer < shape.dense_layers else GroupMoE
    return kind(shape, layer, build)
