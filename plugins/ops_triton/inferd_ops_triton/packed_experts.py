"""Experts of packed weights: multiplied packed, where those of a layer are alike.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from inferd.contracts.ops import ActAndMul, Experts
from inferd.contracts.scaled_formats import ScaledWeight
from inferd.contracts.weight_formats import GroupedWeight
from inferd_ops_triton.kernels.launch_experts import Stacks, make_packed_experts
from inferd_ops_triton.packed import MakePacked
from inferd_ops_triton.packing import HALF, MAGIC, Packable, PackedWeight
from inferd_ops_triton.tables import packed_tiles, table

FORMATS = (*MakePacked.formats, "fp8_row", "fp8_block", "int8_row")


class MakePackedExperts:
    """Inputs of FP8 and int8 are not rounded. Models in float32 have no such experts.

    Act-order of down is that of gate's and up's rows; their own gathers x for each pair of a token
    and an expert. Not taken: experts that differ in their groups, and groups that are no halves of
    planes.
    """

    def __init__(self, dtype: torch.dtype, architecture: str) -> None:
        self._dtype, self._tiles = dtype, packed_tiles(architecture)
        self._pairs = bool(table(architecture).get("pairs"))
        self.formats = FORMATS if dtype in MAGIC else ()

    def __call__(
        self,
        gate_up: Sequence[Packable],
        down: Sequence[Packable],
        activation: str,
        act: ActAndMul,  # noqa: ARG002 - kernels compute it
        gate_up_bias_MN: Tensor | None = None,
        down_bias_MD: Tensor | None = None,
    ) -> Experts | None:
        if not all(_stackable(weights) for weights in (gate_up, down)):
            return None
        num, rows_MN = len(down), _rows(down)
        if rows_MN is not None and gate_up_bias_MN is not None:
            gate_up_bias_MN = gate_up_bias_MN.gather(1, rows_MN)
        made = Stacks(
            PackedWeight.stacked(_with_rows(gate_up, rows_MN), num, self._dtype),
            PackedWeight.stacked(down, num, self._dtype),
            _orders(gate_up),
        )
        biases = gate_up_bias_MN, down_bias_MD
        return make_packed_experts(made, activation, *biases, self._tiles, pairs=self._pairs)


def _orders(weights: Sequence[Packable]) -> Tensor | None:
    """[M, K], int32: act-order; None where no expert has one."""
    orders = [weight.order_K if isinstance(weight, GroupedWeight) else None for weight in weights]
    found = next((order_K for order_K in orders if order_K is not None), None)
    if found is None:
        return None
    own_K = torch.arange(len(found), device=found.device)
    return torch.stack([own_K if order_K is None else order_K for order_K in orders]).int()


def _rows(down: Sequence[Packable]) -> Tensor | None:
    """[M, N]: rows of gate and up that make inputs of down in the order of its columns."""
    order_MI = _orders(down)
    if order_MI is None:
        return None
    return torch.cat((order_MI, order_MI + order_MI.shape[1]), 1).long()


def _with_rows(weights: Sequence[Packable], rows_MN: Tensor | None) -> Iterator[Packable]:
    if rows_MN is None:
        yield from weights
    else:
        for weight, rows_N in zip(weights, rows_MN, strict=True):
            yield weight.rows(rows_N)


def _stackable(weights: Sequence[Packable]) -> bool:
    """Whether kernels take them as one."""
    forms = {_form(weight) for weight in weights}
    return len(forms) == 1 and None not in forms


def _form(weight: Packable) -> tuple[object, ...] | None:
    """What kernels are compiled for; None: they do not take it."""
    if isinstance(weight, ScaledWeight):
        return weight.format, weight.shape
    if weight.group_size % HALF:
        return None
    return weight.format, weight.shape, weight.group_size, weight.scales_NG.dtype
