"""x W^T where W is codes that name values of their row's table, with outliers added.

The codes of a row lie two in a byte, the even input's in the lower half, whatever their bits. As in
`skinny`, W is the left operand; its values are rounded to x's type. Outliers come on top, in a
launch of their own, one program for an output.

Shape suffixes: M tokens, N out features, K in features, L values of a table, E outliers, B bytes.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd.contracts.lookup_format import LookupWeight

BLOCK_M, BLOCK_N, BLOCK_B, BLOCK_E = 16, 32, 32, 32  # not measured


@triton.jit(do_not_specialize=["M"])
def lookup_kernel(
    x_ptr,  # [M, K]
    codes_ptr,  # [N, K / 2], uint8
    table_ptr,  # [N, L], float32
    out_ptr,  # [M, N], float32
    M,
    N,
    K,
    x_stride,
    VALUES: tl.constexpr,  # of a table
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    # grid: (blocks of N, blocks of M)
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    m = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    kind: tl.constexpr = x_ptr.dtype.element_ty
    row = tl.minimum(n, N - 1).to(tl.int64)[:, None]
    tables = table_ptr + row * VALUES
    sums = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
    for first in range(0, K // 2, BLOCK_B):
        b = first + tl.arange(0, BLOCK_B)
        inside = b < K // 2
        pairs = tl.load(codes_ptr + row * (K // 2) + b[None, :], mask=inside[None, :], other=0)
        pairs = pairs.to(tl.int32)
        x_ptrs = x_ptr + m[None, :] * x_stride + 2 * b[:, None]
        in_x = inside[:, None] & (m < M)[None, :]
        even = tl.load(tables + (pairs & 15)).to(kind)
        sums = tl.dot(even, tl.load(x_ptrs, mask=in_x, other=0.0), sums, input_precision="ieee")
        odd = tl.load(tables + (pairs >> 4)).to(kind)
        sums = tl.dot(odd, tl.load(x_ptrs + 1, mask=in_x, other=0.0), sums, input_precision="ieee")
    out_ptrs = out_ptr + m.to(tl.int64)[None, :] * N + n[:, None]
    tl.store(out_ptrs, sums, mask=(n < N)[:, None] & (m < M)[None, :])


@triton.jit
def unpack_lookup_kernel(
    codes_ptr,  # [N, K / 2], uint8
    table_ptr,  # [N, L], float32
    out_ptr,  # [N, K]
    N,
    K,
    VALUES: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_B: tl.constexpr,
):
    # grid: (blocks of N, blocks of K / 2)
    n = (tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)[:, None]
    b = (tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B))[None, :]
    inside = (n < N) & (b < K // 2)
    pairs = tl.load(codes_ptr + n * (K // 2) + b, mask=inside, other=0).to(tl.int32)
    out_ptrs = out_ptr + n * K + 2 * b
    kind: tl.constexpr = out_ptr.dtype.element_ty
    tables = table_ptr + n * VALUES
    tl.store(out_ptrs, tl.load(tables + (pairs & 15), mask=inside).to(kind), mask=inside)
    tl.store(out_ptrs + 1, tl.load(tables + (pairs >> 4), mask=inside).to(kind), mask=inside)


@triton.jit(do_not_specialize=["M"])
def outliers_kernel(
    sums_ptr,  # [M, N]
    x_ptr,  # [M, K]
    starts_ptr,  # [N + 1]
    columns_ptr,  # [E]
    values_ptr,  # [E]
    bias_ptr,  # [N] or None
    out_ptr,  # [M, N]
    M,
    N,
    x_stride,
    BLOCK_M: tl.constexpr,
    BLOCK_E: tl.constexpr,
):
    # grid: (N, blocks of M)
    n = tl.program_id(0)
    m = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    places = m.to(tl.int64) * N + n
    sums = tl.load(sums_ptr + places, mask=m < M, other=0.0).to(tl.float32)
    first, last = tl.load(starts_ptr + n), tl.load(starts_ptr + n + 1)
    for at in range(first, last, BLOCK_E):
        e = at + tl.arange(0, BLOCK_E)
        k = tl.load(columns_ptr + e, mask=e < last, other=0)
        values = tl.load(values_ptr + e, mask=e < last, other=0.0)
        x_ptrs = x_ptr + m[:, None] * x_stride + k[None, :]
        x = tl.load(x_ptrs, mask=(m < M)[:, None] & (e < last)[None, :], other=0.0)
        sums += tl.sum(x.to(tl.float32) * values[None, :], 1)
    if bias_ptr is not None:
        sums += tl.load(bias_ptr + n).to(tl.float32)
    tl.store(out_ptr + places, sums.to(out_ptr.dtype.element_ty), mask=m < M)


def multiply(x_MK: Tensor, codes_NB: Tensor, table_NL: Tensor) -> Tensor:
    """[M, N] float32, without the outliers."""
    tokens, (size, inner) = x_MK.shape[0], (len(codes_NB), x_MK.shape[1])
    out_MN = torch.empty(tokens, size, dtype=torch.float32, device=x_MK.device)
    grid = (triton.cdiv(size, BLOCK_N), triton.cdiv(tokens, BLOCK_M))
    lookup_kernel[grid](
        x_MK, codes_NB, table_NL, out_MN, tokens, size, inner, x_MK.stride(0), table_NL.shape[1],
        BLOCK_M, BLOCK_N, BLOCK_B,
    )  # fmt: skip
    return out_MN


def unpack(codes_NB: Tensor, table_NL: Tensor, dtype: torch.dtype) -> Tensor:
    """[N, K] without the outliers."""
    size, inner = len(codes_NB), 2 * codes_NB.shape[1]
    out_NK = torch.empty(size, inner, dtype=dtype, device=codes_NB.device)
    grid = (triton.cdiv(size, BLOCK_N), triton.cdiv(inner // 2, BLOCK_B))
    unpack_lookup_kernel[grid](
        codes_NB, table_NL, out_NK, size, inner, table_NL.shape[1], BLOCK_N, BLOCK_B
    )
    return out_NK


def add_outliers(
    sums_MN: Tensor, x_MK: Tensor, weight: LookupWeight, bias_N: Tensor | None
) -> Tensor:
    """`sums_MN` with what the weight's outliers and the bias add, as x's type."""
    tokens, size = sums_MN.shape
    out_MN = torch.empty(tokens, size, dtype=x_MK.dtype, device=x_MK.device)
    places = weight.outliers
    outliers_kernel[(size, triton.cdiv(tokens, BLOCK_M))](
        sums_MN, x_MK, places.starts_N1, places.columns_E, places.values_E, bias_N, out_MN,
        tokens, size, x_MK.stride(0), BLOCK_M, BLOCK_E,
    )  # fmt: skip
    return out_MN
