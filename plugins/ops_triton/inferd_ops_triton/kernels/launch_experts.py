"""Launching kernels.packed_experts, both for all tiles of rows that the experts have.

Shape suffixes as in packed_experts.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from inferd.contracts.ops import Experts
from inferd_ops_triton.kernels.experts import select
from inferd_ops_triton.kernels.experts_deal import deal
from inferd_ops_triton.kernels.experts_order import ordered
from inferd_ops_triton.kernels.packed_experts import packed_down_kernel, packed_gate_up_kernel
from inferd_ops_triton.kernels.packed_sums import PAIRS
from inferd_ops_triton.packing import TILE, PackedWeight
from inferd_ops_triton.tables import PackedTiles


class Stacks(NamedTuple):
    """Of all experts, as PackedWeight.stacked makes them."""

    gate_up: PackedWeight
    down: PackedWeight
    order_MD: Tensor | None = None  # int32: the inputs that gate's and up's columns multiply


def make_packed_experts(
    weights: Stacks,
    activation: str,
    gate_up_bias_MN: Tensor | None,
    down_bias_MD: Tensor | None,
    tiles: Sequence[PackedTiles],
    *,
    pairs: bool,
) -> Experts:
    """`tiles` are in order of rows, `pairs` as in PackedRoute."""
    gate_up, down, order_MD = weights
    num, (hidden, inner) = len(down.words_NW), down.shape

    def experts(x_TD: Tensor, chosen_TC: Tensor, weights_TC: Tensor) -> Tensor:
        tokens, chosen = chosen_TC.shape
        tile = select(tiles, tokens * chosen, num)
        dealt = deal(chosen_TC, num, tile.rows)
        launch = {"num_warps": tile.warps, "num_stages": tile.stages}
        sizes = num, inner, hidden
        inner_PI = x_TD.new_empty(tokens * chosen, inner)
        x, pairs_of_x = x_TD, chosen
        if order_MD is not None:
            x, pairs_of_x = ordered(x_TD, chosen_TC, order_MD), 1
        packed_gate_up_kernel[(len(dealt.experts_B), triton.cdiv(2 * inner, tile.block_n))](
            x, *_stored(gate_up), gate_up_bias_MN, inner_PI, *dealt, *sizes,
            gate_up.words_NW.shape[-1], x.stride(0), pairs_of_x, activation,
            **constants(gate_up, tile, x_TD.dtype, pairs=pairs), **launch,
        )  # fmt: skip
        out_PD = x_TD.new_empty(tokens * chosen, hidden)
        packed_down_kernel[(len(dealt.experts_B), triton.cdiv(hidden, tile.block_n))](
            inner_PI, *_stored(down), down_bias_MD, weights_TC.float().contiguous(), out_PD,
            *dealt, *sizes, down.words_NW.shape[-1],
            **constants(down, tile, x_TD.dtype, pairs=pairs), **launch,
        )  # fmt: skip
        return out_PD.view(tokens, chosen, hidden).sum(1, dtype=torch.float32).to(x_TD.dtype)

    return experts


def _stored(weight: PackedWeight) -> tuple[Tensor | None, ...]:
    return weight.words_NW, weight.scales_GN, weight.zeros_GN, weight.minima_GN


def constants(
    weight: PackedWeight, tile: PackedTiles, dtype: torch.dtype, *, pairs: bool
) -> dict[str, Any]:
    """What both kernels are compiled for, but for those of gate and up alone."""
    return {
        "BITS": weight.bits,
        "MAGIC": weight.magic,
        "NUMBER": weight.number,
        "GROUP": weight.group_size,
        "WIDTH": weight.width,
        "E4M3": weight.e4m3,
        "BLOCK_M": tile.rows,
        "BLOCK_N": tile.block_n,
        "EVEN": weight.shape[1] % TILE == 0,
        "PAIRS": PAIRS[dtype, weight.zeros_GN is not None] if pairs else None,
    }
