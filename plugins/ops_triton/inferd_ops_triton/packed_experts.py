"""Experts of packed weights: multiplied packed, where those of a layer are alike.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inferd.contracts.ops import ActAndMul, Experts
from inferd.contracts.weight_formats import GroupedWeight, MinimumWeight
from inferd_ops_triton.kernels.experts import make_experts
from inferd_ops_triton.kernels.packed_experts import Stacks, make_packed_experts
from inferd_ops_triton.packed import MakePacked
from inferd_ops_triton.packing import HALF, MAGIC, PackedWeight
from inferd_ops_triton.tables import packed_tiles, table

Weights = Sequence[GroupedWeight | MinimumWeight]


class MakePackedExperts:
    """Act-order, experts that differ in their groups, and groups that are no halves of planes are
    dequantized once. Models in float32 have no such experts."""

    def __init__(self, dtype: torch.dtype, architecture: str) -> None:
        self._dtype, self._tiles = dtype, packed_tiles(architecture)
        self._pairs = bool(table(architecture).get("pairs"))
        self.formats = MakePacked.formats if dtype in MAGIC else ()

    def __call__(
        self,
        gate_up: Weights,
        down: Weights,
        activation: str,
        act: ActAndMul,  # noqa: ARG002 - kernels compute it
        gate_up_bias_MN: Tensor | None = None,
        down_bias_MD: Tensor | None = None,
    ) -> Experts:
        biases = gate_up_bias_MN, down_bias_MD
        if not (stackable(gate_up) and stackable(down)):
            first, second = (dequantized(weights, self._dtype) for weights in (gate_up, down))
            return make_experts(first, second, activation, *biases)
        both = Stacks(*(PackedWeight.stacked(weights, self._dtype) for weights in (gate_up, down)))
        return make_packed_experts(both, activation, *biases, self._tiles, pairs=self._pairs)


def stackable(weights: Weights) -> bool:
    """Whether kernels take them as one."""
    ordered = any(isinstance(w, GroupedWeight) and w.order_K is not None for w in weights)
    alike = all(weight.alike(weights[0]) for weight in weights)
    return alike and not ordered and weights[0].group_size % HALF == 0


def dequantized(weights: Weights, dtype: torch.dtype) -> Tensor:
    """[M, N, K], one after the other."""
    first = weights[0].packed_NB
    dense_MNK = torch.empty(len(weights), *weights[0].shape, dtype=dtype, device=first.device)
    for weight_NK, weight in zip(dense_MNK, weights, strict=True):
        weight_NK.copy_(weight.dequantize(dtype))
    return dense_MNK
