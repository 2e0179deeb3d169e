"""Mixtures of experts from torch's own operators: the reference, and what suits a CPU.

Shape suffixes: T tokens, D hidden, I inner size of an expert, N = 2 I, M experts, C of them chosen
for a token.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.ops import ActAndMul, Experts, MakeExperts, MakeLinear
from inferd.layers.gathered import by_expert, packed_experts

Activations = Mapping[str, ActAndMul]


def reference_experts(act_and_mul: Activations) -> MakeExperts:
    """Every expert computes every token, and what was not chosen counts zero times.

    Nothing depends on what was chosen, so it can be recorded; it costs M / C times too much.
    """

    def make(
        gate_up_MND: Tensor,
        down_MDI: Tensor,
        activation: str,
        gate_up_bias_MN: Tensor | None = None,
        down_bias_MD: Tensor | None = None,
    ) -> Experts:
        act = act_and_mul[activation]
        layers = by_expert(gate_up_MND, down_MDI, gate_up_bias_MN, down_bias_MD)

        def experts(x_TD: Tensor, chosen_TC: Tensor, weights_TC: Tensor) -> Tensor:
            weights_TM = weights_TC.new_zeros(len(x_TD), len(down_MDI))
            weights_TM.scatter_(1, chosen_TC, weights_TC)
            out_TD = torch.zeros_like(x_TD)
            for expert, (gate_up, down) in enumerate(layers):
                y_TD = F.linear(act(F.linear(x_TD, *gate_up)), *down)
                out_TD += (y_TD * weights_TM[:, expert : expert + 1]).to(out_TD.dtype)
            return out_TD

        return experts

    return make


def gathered_experts(act_and_mul: Activations, make_linear: MakeLinear) -> MakeExperts:
    """Each expert computes its own tokens: `inferd.layers.gathered`."""

    def make(
        gate_up_MND: Tensor,
        down_MDI: Tensor,
        activation: str,
        gate_up_bias_MN: Tensor | None = None,
        down_bias_MD: Tensor | None = None,
    ) -> Experts:
        pack = packed_experts(make_linear)
        matrices, act = (list(gate_up_MND), list(down_MDI)), act_and_mul[activation]
        return pack(*matrices, activation, act, gate_up_bias_MN, down_bias_MD)

    return make
