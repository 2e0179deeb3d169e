"""x W^T of numbers of 8 bits, which the matrix units multiply as they are; scales come in after.

W is the left operand, as in `skinny`, and K may be cut into parts. Scales are one for each row of W
and each token, or one for each 128 inputs of both: then every 128 inputs are summed on their own.
Hopper's sums of FP8 keep 13 bits after the largest number's first, so they are added to a sum in
float32 after 128 inputs. Models of float16, which rounds as finely, do so after 32.

Shape suffixes: M tokens, N out features, K in features, R runs of rows, G groups of K, P parts of
K.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd.contracts.scaled_formats import RoundedInputs, ScaledWeight
from inferd_ops_triton.kernels.chain import (
    ALONE,
    Chain,
    fetch_into_l2,
    let_next_start,
    wait_for_previous,
)
from inferd_ops_triton.kernels.skinny import add_parts, outputs
from inferd_ops_triton.tables import ScaledRoute

BESIDE = tl.constexpr(
    8
)  # blocks of tokens that take a block of W after each other: it is in the L2


@triton.jit
def _place(M, N, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """Which block of W and which of the tokens this program has."""
    blocks_m = tl.cdiv(M, BLOCK_M)
    in_run = BESIDE * tl.cdiv(N, BLOCK_N)
    first = tl.program_id(0) // in_run * BESIDE
    beside = tl.minimum(blocks_m - first, BESIDE)
    rest = tl.program_id(0) % in_run
    return rest // beside, first + rest % beside


@triton.jit
def _with_tile(
    sums, weight, x, scale_ptrs, x_scale_ptrs, done, GROUPED: tl.constexpr, SUMMED: tl.constexpr
):  # fmt: skip
    """Sums [N, M] and the products of a tile of inputs, which begins at `done`."""
    BLOCK_K: tl.constexpr = x.shape[0]
    if sums.dtype == tl.int32:
        sums = tl.dot(weight, x, sums, out_dtype=tl.int32)
    elif GROUPED:
        scales_N = tl.load(scale_ptrs + done // 128)
        x_scales_M = tl.load(x_scale_ptrs + done // 128)
        most: tl.constexpr = SUMMED if SUMMED < BLOCK_K else None  # None: no second sum
        products = tl.dot(weight, x, max_num_imprecise_acc=most)
        sums += products * (scales_N[:, None] * x_scales_M[None, :])
    else:
        sums = tl.dot(weight, x, sums, max_num_imprecise_acc=min(BLOCK_K, SUMMED))
    return sums


@triton.jit(do_not_specialize=["M"])
def scaled_kernel(
    x_ptr,  # [M, K], contiguous
    x_scales_ptr,  # [M, G]
    weight_ptr,  # [N, K], contiguous
    scales_ptr,  # [R, G]
    bias_ptr,  # [N] or None
    out_ptr,  # [P, M, N]
    M,
    N,
    K,
    RUN: tl.constexpr,  # rows of W that share scales
    GROUPED: tl.constexpr,  # whether 128 inputs have scales, which BLOCK_K is then
    INTEGER: tl.constexpr,
    SUMMED: tl.constexpr,  # inputs that are added in the matrix units' own precision
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    EVEN: tl.constexpr,  # whether BLOCK_K divides K
    CHAINED: tl.constexpr,
):
    # grid: (blocks of N * blocks of M, P)
    block_n, block_m = _place(M, N, BLOCK_M, BLOCK_N)
    n = block_n * BLOCK_N + tl.arange(0, BLOCK_N)
    m = block_m * BLOCK_M + tl.arange(0, BLOCK_M)
    k = tl.arange(0, BLOCK_K)
    inside_n, inside_m = (n < N)[:, None], (m < M)[None, :]
    part = tl.program_id(1)
    size = tl.cdiv(K, tl.num_programs(1) * BLOCK_K) * BLOCK_K
    first = part * size
    last = tl.minimum(K, first + size)
    groups = tl.cdiv(K, 128) if GROUPED else 1
    row_ptrs = weight_ptr + tl.minimum(n, N - 1).to(tl.int64) * K + first
    scale_ptrs = scales_ptr + tl.minimum(n, N - 1) // RUN * groups

    let_next_start(CHAINED)
    if CHAINED and EVEN:
        fetch_into_l2(row_ptrs, tl.minimum(BLOCK_K, tl.maximum(last - first, 0)))
    wait_for_previous(CHAINED)

    weight_ptrs = row_ptrs[:, None] + k[None, :]
    x_row = tl.minimum(m, M - 1).to(tl.int64)
    x_ptrs = x_ptr + x_row[None, :] * K + first + k[:, None]
    x_scale_ptrs = x_scales_ptr + x_row * groups
    sums = tl.zeros((BLOCK_N, BLOCK_M), tl.int32 if INTEGER else tl.float32)
    for done in range(first, last, BLOCK_K):
        if EVEN:
            weight, x = tl.load(weight_ptrs), tl.load(x_ptrs)
        else:
            weight = tl.load(weight_ptrs, mask=(done + k < last)[None, :], other=0.0)
            x = tl.load(x_ptrs, mask=(done + k < last)[:, None], other=0.0)
        sums = _with_tile(sums, weight, x, scale_ptrs, x_scale_ptrs, done, GROUPED, SUMMED)
        weight_ptrs += BLOCK_K
        x_ptrs += BLOCK_K

    values = sums.to(tl.float32)
    if not GROUPED:
        values *= tl.load(scale_ptrs)[:, None] * tl.load(x_scale_ptrs)[None, :]
    if bias_ptr is not None:
        values += tl.load(bias_ptr + n, mask=n < N, other=0.0).to(tl.float32)[:, None]
    out_ptrs = out_ptr + (part * M + m).to(tl.int64)[None, :] * N + n[:, None]
    tl.store(out_ptrs, values.to(out_ptr.dtype.element_ty), mask=inside_n & inside_m)


def summed(dtype: torch.dtype, route: ScaledRoute) -> int:
    """Inputs between two additions in float32. 128 by 128 results leave no registers for more."""
    return 32 if dtype == torch.float16 and route.block_m * route.block_n <= 128 * 64 else 128


def multiply(
    x: RoundedInputs, weight: ScaledWeight, bias_N: Tensor | None, route: ScaledRoute,
    dtype: torch.dtype, chain: Chain = ALONE,
) -> Tensor:  # fmt: skip
    """Of any number of tokens, in `dtype`."""
    tokens, (size, inner), parts = len(x.codes_TK), weight.shape, route.parts(*weight.shape)
    out_MN, sums = outputs((tokens, size), parts, dtype, x.codes_TK.device)
    blocks = triton.cdiv(size, route.block_n) * triton.cdiv(tokens, route.block_m)
    grouped = weight.inputs.group is not None
    block_k = 128 if grouped else route.block_k
    scaled_kernel[(blocks, parts)](
        x.codes_TK, x.scales_TG, weight.values_NK, weight.scales_RG,
        None if parts > 1 else bias_N, sums, tokens, size, inner, weight.run, grouped,
        weight.values_NK.dtype == torch.int8, summed(dtype, route),
        route.block_m, route.block_n, block_k, inner % block_k == 0,
        num_warps=route.warps, num_stages=route.stages, **chain,
    )  # fmt: skip
    return out_MN if parts == 1 else add_parts(sums, bias_N, out_MN, chain)
