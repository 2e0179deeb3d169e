"""x W^T of one token, where W is integers: a few rows of W per program, products in float32.

A code becomes a number by its bits, as in `kernels.packed`: under the exponent of 128 it is 128 +
code (8 bits: under that of 256). What that adds is taken off a whole group at once, together with
its zero point, by the sum of the group's inputs.

Shape suffixes: N out features, K in features, G groups, W words of a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.chain import ALONE, Chain, let_next_start, wait_for_previous
from inferd_ops_triton.packing import MAGIC, PackedWeight
from inferd_ops_triton.tables import PackedRoute


@triton.jit
def _plus(word_ptrs, words, plane: tl.constexpr, inside, BITS: tl.constexpr):
    """The codes of a plane in float32, plus 128 or 256."""
    if BITS == 4:
        bits = ((words << (16 - 4 * plane)) & 0xF0000) | 0x43000000
    else:
        codes = tl.load(word_ptrs + plane * 32, mask=inside, other=0)
        bits = (codes.to(tl.int32) << 15) | 0x43800000
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def _group_values(ptr, group, n, N, inside):
    """[BLOCK_N, TILES] in float32."""
    values = tl.load(ptr + group[None, :] * N + n[:, None], mask=inside, other=0.0)
    return values.to(tl.float32)


@triton.jit
def packed_gemv_kernel(
    x_ptr,  # [K]
    words_ptr,  # [N, W]: int16 of four codes, or uint8 of one; rows and tiles are whole
    scales_ptr,  # [G, N], float32
    zeros_ptr,  # [G, N], with the number that ADDED is
    bias_ptr,  # [N] or None
    out_ptr,  # [N]
    N,
    K,
    W,
    BITS: tl.constexpr,
    ADDED: tl.constexpr,  # to zero points
    GROUP: tl.constexpr,
    BLOCK_N: tl.constexpr,
    TILES: tl.constexpr,  # of 128 inputs, at once
    CHAINED: tl.constexpr,
):
    # grid: (blocks of N,)
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    k = tl.arange(0, 32)
    width: tl.constexpr = 32 if BITS == 4 else 128  # words of a tile
    excess: tl.constexpr = 128 if BITS == 4 else 256
    row_ptrs = words_ptr + tl.minimum(n, N - 1).to(tl.int64)[:, None, None] * W + k[None, None, :]
    let_next_start(CHAINED)
    wait_for_previous(CHAINED)

    sums = tl.zeros((BLOCK_N, TILES, 32), tl.float32)
    for first in range(0, tl.cdiv(K, 128), TILES):
        tile = first + tl.arange(0, TILES)
        word_ptrs = row_ptrs + (tile * width)[None, :, None]
        inside = (tile * 128 < K)[None, :, None] & (k >= 0)[None, None, :]
        words = tl.load(word_ptrs, mask=inside, other=0, eviction_policy="evict_first")
        words = words.to(tl.int32)
        products = tl.zeros((BLOCK_N, TILES, 32), tl.float32)
        x_sums = tl.zeros((TILES, 32), tl.float32)
        for plane in tl.static_range(4):
            at = tile[:, None] * 128 + plane * 32 + k[None, :]
            x = tl.load(x_ptr + at, mask=at < K, other=0.0).to(tl.float32)
            products += _plus(word_ptrs, words, plane, inside, BITS) * x[None, :, :]
            x_sums += x
            if GROUP % 128 != 0 or plane == 3:
                # past the last input x is 0, and any group serves
                group = tl.minimum(tile * 128 + plane * 32, K - 1) // GROUP
                inside_NG = (n < N)[:, None] & (group >= 0)[None, :]
                scales = _group_values(scales_ptr, group, n, N, inside_NG)
                less = _group_values(zeros_ptr, group, n, N, inside_NG) + (excess - ADDED)
                sums += scales[:, :, None] * (products - less[:, :, None] * x_sums[None, :, :])
                products = tl.zeros((BLOCK_N, TILES, 32), tl.float32)
                x_sums = tl.zeros((TILES, 32), tl.float32)

    out_N = tl.sum(tl.sum(sums, 2), 1)
    if bias_ptr is not None:
        out_N += tl.load(bias_ptr + n, mask=n < N, other=0.0).to(tl.float32)
    tl.store(out_ptr + n, out_N.to(out_ptr.dtype.element_ty), mask=n < N)


def packed_gemv(
    x_MK: Tensor, weight: PackedWeight, bias_N: Tensor | None, route: PackedRoute,
    chain: Chain = ALONE,
) -> Tensor:  # fmt: skip
    """Of a single token."""
    size, inner = weight.shape
    out_MN = torch.empty(1, size, dtype=x_MK.dtype, device=x_MK.device)
    added = MAGIC[x_MK.dtype][1] if weight.bits == 4 else 0
    packed_gemv_kernel[(triton.cdiv(size, route.block_n),)](
        x_MK, weight.words_NW, weight.scales_GN, weight.zeros_GN, bias_N, out_MN, size, inner,
        weight.words_NW.stride(0), weight.bits, added, weight.group_size, route.block_n,
        route.tiles, num_warps=route.warps, **chain,
    )  # fmt: skip
    return out_MN
