"""Experts from a linear for each of their matrices, on CPUs: the host reads what was chosen.

Tokens are sorted by expert, so that each expert computes its own and no others are read.

Shape suffixes: T tokens, D hidden, N = 2 I, I inner size of an expert, M experts, C of them chosen
for a token, F tokens of one expert.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.ops import ActAndMul, Experts, Linear, MakeLinear

Weights = tuple[Any, Tensor | None]  # of one linear


def by_expert(
    gate_up: Sequence[Any] | Tensor,
    down: Sequence[Any] | Tensor,
    gate_up_bias_MN: Tensor | None,
    down_bias_MD: Tensor | None,
) -> list[tuple[Weights, Weights]]:
    """Weight and bias of both matrices of each."""

    def paired(weights: Sequence[Any] | Tensor, biases: Tensor | None) -> list[Weights]:
        each = [None] * len(weights) if biases is None else list(biases)
        return list(zip(weights, each, strict=True))

    return list(zip(paired(gate_up, gate_up_bias_MN), paired(down, down_bias_MD), strict=True))


def packed_experts(make_linear: MakeLinear) -> Callable[..., Experts]:
    """A MakePackedExperts of the formats that `make_linear` takes."""

    def make(
        gate_up: Sequence[Any],
        down: Sequence[Any],
        activation: str,  # noqa: ARG001 - `act` computes it
        act: ActAndMul,
        gate_up_bias_MN: Tensor | None = None,
        down_bias_MD: Tensor | None = None,
    ) -> Experts:
        layers = [
            (make_linear(*first), make_linear(*second))
            for first, second in by_expert(gate_up, down, gate_up_bias_MN, down_bias_MD)
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
    act: ActAndMul,
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
