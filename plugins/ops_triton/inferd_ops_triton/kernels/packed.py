"""x W^T where W is integers with a scale and a zero point, or a minimum, per group of inputs.

How rows of W are multiplied is `packed_sums`; K may be cut into parts.

Shape suffixes: M tokens, N out features, K in features, G groups, P parts of K, W words of a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.chain import ALONE, Chain
from inferd_ops_triton.kernels.packed_sums import (
    PAIRS,
    as_numbers,
    group_index,
    of_groups,
    packed_sums,
)
from inferd_ops_triton.kernels.skinny import add_parts, outputs
from inferd_ops_triton.packing import TILE, PackedWeight
from inferd_ops_triton.tables import PackedRoute

ROWS_AT_ONCE = 32  # that a program unpacks


@triton.jit(do_not_specialize=["M"])
def packed_kernel(
    x_ptr,  # [M, K]
    words_ptr,  # [N, W] of four codes, int16 or int32; tiles are whole
    scales_ptr,  # [G, N]
    zeros_ptr,  # [G, N], as x, with NUMBER added, or None; then
    minima_ptr,  # [G, N]
    bias_ptr,  # [N] or None
    out_ptr,  # [P, M, N]
    M,
    N,
    K,
    W,
    x_stride,
    BITS: tl.constexpr,
    MAGIC: tl.constexpr,
    NUMBER: tl.constexpr,  # that MAGIC adds to a code
    GROUP: tl.constexpr,
    WIDTH: tl.constexpr,  # of what is taken of a plane: 32, or 16 where groups end within one
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    EVEN: tl.constexpr,  # whether K is whole tiles
    PAIRS: tl.constexpr,  # assembly that makes two codes numbers at once, or None
    CHAINED: tl.constexpr,
):
    # grid: (blocks of N, P, blocks of M)
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    m = tl.program_id(2) * BLOCK_M + tl.arange(0, BLOCK_M)
    part = tl.program_id(1)
    tiles = tl.cdiv(tl.cdiv(K, 128), tl.num_programs(1))
    first = part * tiles * 128
    last = tl.minimum(K, first + tiles * 128)

    x_ptrs = x_ptr + m[None, :] * x_stride + first + tl.arange(0, WIDTH)[:, None]
    sums = packed_sums(
        x_ptrs, m < M, words_ptr, scales_ptr, zeros_ptr, minima_ptr, n, first, last, N, K, W, BITS,
        MAGIC, NUMBER, GROUP, WIDTH, False, EVEN, PAIRS, CHAINED,
    )  # fmt: skip

    if bias_ptr is not None:
        sums += tl.load(bias_ptr + n, mask=n < N, other=0.0).to(tl.float32)[:, None]
    out_ptrs = out_ptr + (part * M + m).to(tl.int64)[None, :] * N + n[:, None]
    inside_out = (n < N)[:, None] & (m < M)[None, :]
    tl.store(out_ptrs, sums.to(out_ptr.dtype.element_ty), mask=inside_out)


@triton.jit(do_not_specialize=["first"])
def unpack_kernel(
    words_ptr,  # [N, W]
    scales_ptr,  # [G, N]
    zeros_ptr,  # [G, N], with NUMBER added, or None; then
    minima_ptr,  # [G, N]
    out_ptr,  # [rows, K]: from row `first` on
    first,
    N,
    K,
    W,
    BITS: tl.constexpr,
    MAGIC: tl.constexpr,
    NUMBER: tl.constexpr,
    GROUP: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    # grid: (tiles, blocks of rows)
    tile = tl.program_id(0)
    row = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    n = first + row
    k = tl.arange(0, WIDTH)
    kind: tl.constexpr = out_ptr.dtype.element_ty

    row_ptrs = words_ptr + tl.minimum(n, N - 1).to(tl.int64)[:, None] * W + k[None, :]
    row_ptrs += tile * 32
    scales = of_groups(scales_ptr, tile * 128, n, N, K, GROUP, WIDTH)
    zeros = of_groups(zeros_ptr, tile * 128, n, N, K, GROUP, WIDTH)
    minima = of_groups(minima_ptr, tile * 128, n, N, K, GROUP, WIDTH)
    for half in tl.static_range(32 // WIDTH):
        words = tl.load(row_ptrs + half * WIDTH, eviction_policy="evict_first")
        for plane in tl.static_range(4):
            numbers = as_numbers(words, plane, BITS, MAGIC, kind).to(tl.float32)
            if zeros_ptr is None:
                numbers -= NUMBER
            else:
                numbers -= zeros[group_index(plane, half, GROUP)].to(tl.float32)[:, None]
            scale = scales[group_index(plane, half, GROUP)]
            values = numbers * scale.to(tl.float32)[:, None]
            if minima_ptr is not None:
                minimum = minima[group_index(plane, half, GROUP)]
                values += minimum.to(tl.float32)[:, None]
            columns = tile * 128 + plane * 32 + half * WIDTH + k
            out_ptrs = out_ptr + row.to(tl.int64)[:, None] * K + columns[None, :]
            tl.store(out_ptrs, values.to(kind), mask=(n < N)[:, None] & (columns < K)[None, :])


def multiply(
    x_MK: Tensor, weight: PackedWeight, bias_N: Tensor | None, route: PackedRoute,
    chain: Chain = ALONE,
) -> Tensor:  # fmt: skip
    """Of any number of tokens; W is read once for every `route.block_m` of them."""
    tokens, (size, inner), parts = x_MK.shape[0], weight.shape, route.parts(*weight.shape)
    out_MN, sums = outputs((tokens, size), parts, x_MK.dtype, x_MK.device)
    grid = (triton.cdiv(size, route.block_n), parts, triton.cdiv(tokens, route.block_m))
    packed_kernel[grid](
        x_MK, weight.words_NW, weight.scales_GN, weight.zeros_GN, weight.minima_GN,
        None if parts > 1 else bias_N, sums, tokens, size, inner, weight.words_NW.stride(0),
        x_MK.stride(0), weight.bits, weight.magic, weight.number, weight.group_size, weight.width,
        route.block_m, route.block_n, inner % TILE == 0,
        PAIRS[x_MK.dtype, weight.zeros_GN is not None] if route.pairs else None,
        num_warps=route.warps, num_stages=route.stages, **chain,
    )  # fmt: skip
    return out_MN if parts == 1 else add_parts(sums, bias_N, out_MN, chain)


def unpack(weight: PackedWeight, dtype: torch.dtype, first: int = 0, rows: int = 0) -> Tensor:
    """The dense weight [N, K], or `rows` of its rows, a multiple of 32, from `first` on."""
    size, inner = weight.shape
    rows = min(rows or size, size - first)
    out_RK = torch.empty(rows, inner, dtype=dtype, device=weight.words_NW.device)
    unpack_kernel[(triton.cdiv(inner, TILE), triton.cdiv(rows, ROWS_AT_ONCE))](
        weight.words_NW, weight.scales_GN, weight.zeros_GN, weight.minima_GN, out_RK, first, size,
        inner, weight.words_NW.stride(0), weight.bits, weight.magic, weight.number,
        weight.group_size, weight.width, ROWS_AT_ONCE, num_warps=4,
    )  # fmt: skip
    return out_RK
