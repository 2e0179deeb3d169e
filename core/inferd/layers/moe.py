"""A mixture of experts in place of an MLP.

Shape suffixes: T tokens, D hidden, M experts, C of them chosen for a token.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.layers.expert_bank import ExpertBank, ExpertList, ExpertStack
from inferd.layers.layer import Layer
from inferd.layers.linear import LinearLayer
from inferd.layers.moe_shape import MoEShape
from inferd.layers.packed_method import unquantized


class MoE(Layer):
    """Softmax over all experts, the likeliest few for each token."""

    bank: ClassVar[type[ExpertBank]] = ExpertList

    def __init__(self, shape: MoEShape, layer: int, build: BuildContext) -> None:
        super().__init__()
        name = f"model.layers.{layer}.mlp"
        self.gate = LinearLayer(
            f"{name}.gate",
            shape.hidden_size,
            [shape.num_experts],
            unquantized(build),
            bias=shape.router_bias,
        )
        self.experts = self.make_bank(name, shape, build)
        self._num_chosen, self._renormalized = shape.num_chosen, shape.renormalized

    def make_bank(self, name: str, shape: MoEShape, build: BuildContext) -> ExpertBank:
        return self.bank(name, shape, build)

    def forward(self, x_TD: Tensor) -> Tensor:
        shares_TM = torch.softmax(self.gate(x_TD), dim=-1, dtype=torch.float32)
        weights_TC, chosen_TC = shares_TM.topk(self._num_chosen, dim=-1)
        if self._renormalized:
            weights_TC = weights_TC / weights_TC.sum(-1, keepdim=True)
        out_TD: Tensor = self.experts(x_TD, chosen_TC, weights_TC)
        return out_TD


class StackedMoE(MoE):
    """From checkpoints that have all experts in one tensor."""

    bank = ExpertStack
