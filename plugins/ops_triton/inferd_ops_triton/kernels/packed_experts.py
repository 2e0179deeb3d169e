"""As experts.py, of weights that stay packed: tiles of one expert's rows, two launches, their sum.

As `packed_sums` has it, W is the left operand. A program of the first launch has rows of gate and
up in turn, eight and eight: rows that the matrix units give a thread are eight apart, so that it
has both numbers of a pair.

Shape suffixes: T tokens, M experts, C of them chosen for a token, P = T * C pairs, D hidden,
I intermediate, N = 2 I, B tiles, G groups of inputs, W words of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd.contracts.ops import Experts
from inferd_ops_triton.kernels.experts import gated, select
from inferd_ops_triton.kernels.experts_deal import deal
from inferd_ops_triton.kernels.experts_order import ordered
from inferd_ops_triton.kernels.packed_sums import PAIRS, packed_sums
from inferd_ops_triton.packing import TILE, PackedWeight
from inferd_ops_triton.tables import PackedTiles


@triton.jit
def packed_gate_up_kernel(
    x_ptr,  # [T, D], or [P, D] with C = 1
    words_ptr,  # [M, N, W]
    scales_ptr,  # [M, G, N]
    zeros_ptr,  # [M, G, N], or None; then
    minima_ptr,  # [M, G, N], or None
    bias_ptr,  # [M, N] or None
    out_ptr,  # [P, I], by sorted pair
    pairs_ptr,  # [P], sorted by expert
    experts_ptr,  # [B], M where there is no tile
    firsts_ptr,  # [B]: the tile's first row
    ends_ptr,  # [M]: where the expert's rows end
    M,
    I,  # noqa: E741
    D,
    W,
    x_stride,
    C: tl.constexpr,
    ACT: tl.constexpr,
    BITS: tl.constexpr,
    MAGIC: tl.constexpr,
    NUMBER: tl.constexpr,
    GROUP: tl.constexpr,
    WIDTH: tl.constexpr,
    E4M3: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    EVEN: tl.constexpr,
    PAIRS: tl.constexpr,
):
    # grid: (B, blocks of 2 I): tiles of an expert that run together read the same weights
    tile = tl.program_id(0)
    expert = tl.load(experts_ptr + tile).to(tl.int64)
    if expert >= M:
        return
    row = tl.load(firsts_ptr + tile) + tl.arange(0, BLOCK_M)
    inside_m = row < tl.load(ends_ptr + expert)
    token = tl.load(pairs_ptr + row, mask=inside_m, other=0) // C
    first = tl.program_id(1) * (BLOCK_N // 2)
    place = tl.arange(0, BLOCK_N)
    n = place // 8 % 2 * I + first + place // 16 * 8 + place % 8
    scales_ptr += expert * tl.cdiv(D, GROUP) * (2 * I)
    if zeros_ptr is not None:
        zeros_ptr += expert * tl.cdiv(D, GROUP) * (2 * I)
    if minima_ptr is not None:
        minima_ptr += expert * tl.cdiv(D, GROUP) * (2 * I)

    x_ptrs = x_ptr + token.to(tl.int64)[None, :] * x_stride + tl.arange(0, WIDTH)[:, None]
    sums = packed_sums(
        x_ptrs, inside_m, words_ptr + expert * (2 * I) * W, scales_ptr, zeros_ptr, minima_ptr, n, 0,
        D, 2 * I, D, W, BITS, MAGIC, NUMBER, GROUP, WIDTH, E4M3, EVEN, PAIRS, 0,
    )  # fmt: skip

    if bias_ptr is not None:
        bias = tl.load(bias_ptr + expert * (2 * I) + n, mask=n < 2 * I, other=0.0)
        sums += bias.to(tl.float32)[:, None]
    by_eights = sums.reshape(BLOCK_N // 16, 2, 8, BLOCK_M).permute(0, 2, 3, 1)
    gate, up = by_eights.reshape(BLOCK_N // 2, BLOCK_M, 2).split()
    out = gated(gate, up, ACT).to(out_ptr.dtype.element_ty)
    i = first + tl.arange(0, BLOCK_N // 2)
    out_ptrs = out_ptr + row.to(tl.int64)[None, :] * I + i[:, None]
    tl.store(out_ptrs, out, mask=(i < I)[:, None] & inside_m[None, :])


@triton.jit
def packed_down_kernel(
    x_ptr,  # [P, I], by sorted pair
    words_ptr,  # [M, D, W]
    scales_ptr,  # [M, G, D]
    zeros_ptr,  # [M, G, D], or None; then
    minima_ptr,  # [M, G, D], or None
    bias_ptr,  # [M, D] or None
    shares_ptr,  # [P], float32: of each pair, in the order of tokens
    out_ptr,  # [P, D], in the order of tokens
    pairs_ptr,
    experts_ptr,
    firsts_ptr,
    ends_ptr,
    M,
    I,  # noqa: E741
    D,
    W,
    BITS: tl.constexpr,
    MAGIC: tl.constexpr,
    NUMBER: tl.constexpr,
    GROUP: tl.constexpr,
    WIDTH: tl.constexpr,
    E4M3: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    EVEN: tl.constexpr,
    PAIRS: tl.constexpr,
):
    # grid: (B, blocks of D)
    tile = tl.program_id(0)
    expert = tl.load(experts_ptr + tile).to(tl.int64)
    if expert >= M:
        return
    row = tl.load(firsts_ptr + tile) + tl.arange(0, BLOCK_M)
    inside_m = row < tl.load(ends_ptr + expert)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    scales_ptr += expert * tl.cdiv(I, GROUP) * D
    if zeros_ptr is not None:
        zeros_ptr += expert * tl.cdiv(I, GROUP) * D
    if minima_ptr is not None:
        minima_ptr += expert * tl.cdiv(I, GROUP) * D

    x_ptrs = x_ptr + row.to(tl.int64)[None, :] * I + tl.arange(0, WIDTH)[:, None]
    sums = packed_sums(
        x_ptrs, inside_m, words_ptr + expert * D * W, scales_ptr, zeros_ptr, minima_ptr, n, 0, I, D,
        I, W, BITS, MAGIC, NUMBER, GROUP, WIDTH, E4M3, EVEN, PAIRS, 0,
    )  # fmt: skip

    if bias_ptr is not None:
        bias = tl.load(bias_ptr + expert * D + n, mask=n < D, other=0.0)
        sums += bias.to(tl.float32)[:, None]
    pair = tl.load(pairs_ptr + row, mask=inside_m, other=0)
    share = tl.load(shares_ptr + pair, mask=inside_m, other=0.0)
    out = (sums * share[None, :]).to(out_ptr.dtype.element_ty)
    out_ptrs = out_ptr + pair.to(tl.int64)[None, :] * D + n[:, None]
    tl.store(out_ptrs, out, mask=(n < D)[:, None] & inside_m[None, :])


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
