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

    def make(
        gate_up_MND: Tensor,
        down_MDI: Tensor,
        activation: str,
        gate_up_bias_MN: Tensor | None = None,
        down_bias_MD: Tensor | None = None,
    ) -> Experts:
        act = act_and_mul[activation]
        layers = _by_expert(gate_up_MND, down_MDI, gate_up_bias_MN, down_bias_MD)

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


Weights = tuple[Tensor, Tensor | None]  # of one linear


def _by_expert(
    gate_up_MND: Tensor,
    down_MDI: Tensor,
    gate_up_bias_MN: Tensor | None,
    down_bias_MD: Tensor | None,
) -> list[tuple[Weights, Weights]]:
    def paired(weights: Tensor, biases: Tensor | None) -> list[Weights]:
        each = [None] * len(weights) if biases is None else list(biases)
        return list(zip(weights, each, strict=True))

    both = paired(gate_up_MND, gate_up_bias_MN), paired(down_MDI, down_bias_MD)
    return list(zip(*both, strict=True))


def gathered_experts(act_and_mul: Activations, make_linear: MakeLinear) -> MakeExperts:
    """Tokens sorted by expert, so that each expert computes its own; counts are read by the host,
    which on a CPU costs nothing."""

    def make(
        gate_up_MND: Tensor,
        down_MDI: Tensor,
        activation: str,
        gate_up_bias_MN: Tensor | None = None,
        down_bias_MD: Tensor | None = None,
    ) -> Experts:
        act = act_and_mul[activation]
        layers = [
            (make_linear(*gate_up), make_linear(*down))
            for gate_up, down in _by_expert(gate_up_MND, down_MDI, gate_up_bias_MN, down_bias_MD)
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
