"""Mixtures of experts from torch's own operators: the reference, and what suits a CPU.

Shape suffixes: T tokens, D hidden, I inner size of an expert, N = 2 I, M experts, C of them chosen
for a token, F tokens of one expert.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.ops import Experts, Linear, MakeExperts, MakeLinear

Activations = Mapping[str, Callable[[Tensor], Tensor]]


def reference_experts(act_and_mul: Activations) -> MakeExperts:
    """Every expert computes every token, and what was not chosen counts zero times.

    Nothing depends on what was chosen, so it can be recorded; it costs M / C times too much.
    """

    def make(gate_up_MND: Tensor, down_MDI: Tensor, activation: str) -> Experts:
        act = act_and_mul[activation]

        def experts(x_TD: Tensor, chosen_TC: Tensor, weights_TC: Tensor) -> Tensor:
            weights_TM = weights_TC.new_zeros(len(x_TD), len(down_MDI))
            weights_TM.scatter_(1, chosen_TC, weights_TC)
            out_TD = torch.zeros_like(x_TD)
            for expert, (gate_up_ND, down_DI) in enumerate(zip(gate_up_MND, down_MDI, strict=True)):
                y_TD = F.linear(act(F.linear(x_TD, gate_up_ND)), down_DI)
                out_TD += (y_TD * weights_TM[:, expert : expert + 1]).to(out_TD.dtype)
            return out_TD

        return experts

    return make


def gathered_experts(act_and_mul: Activations, make_linear: MakeLinear) -> MakeExperts:
    """Tokens sorted by expert, so that each expert computes its own; counts are read by the host,
    which on a CPU costs nothing."""

    def make(gate_up_MND: Tensor, down_MDI: Tensor, activation: str) -> Experts:
        act = act_and_mul[activation]
        layers = [
            (make_linear(gate_up_ND, None), make_linear(down_DI, None))
            for gate_up_ND, down_DI in zip(gate_up_MND, down_MDI, strict=True)
        ]

        def experts(x_TD: Tensor, chosen_TC: Tensor, weights_TC: Tensor) -> Tensor:
            return _gathered(x_TD, chosen_TC, weights_TC, layers, act)

        return experts

    return make


def _gathered(
    x_TD: Tensor,
    chosen_TC: Tensor,
    weights_TC: Tensor,
    layers: list[tuple[Linear, Linear]],
    act: Callable[[Tensor], Tensor],
) -> Tensor:
    chosen = chosen_TC.flatten()
    order = chosen.argsort(stable=True)
    tokens, weights = order // chosen_TC.shape[1], weights_TC.flatten()[order].unsqueeze(1)
    ends = itertools.accumulate(torch.bincount(chosen, minlength=len(layers)).tolist(), initial=0)
    out_TD = torch.zeros_like(x_TD)
    for (start, end), (gate_up, down) in zip(itertools.pairwise(ends), layers, strict=True):
        if start < end:
            mine = tokens[start:end]
            y_FD = down(act(gate_up(x_TD[mine]))) * weights[start:end]
            out_TD.index_add_(0, mine, y_FD.to(out_TD.dtype))
    return out_TD
