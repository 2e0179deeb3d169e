"""x W^T of a few tokens: W is the left operand of the matrix units, the tokens their narrow side.

Where N gives too few programs to fill the device, K is cut into parts, whose sums are added by a
second launch in a fixed order. Where W is gate and up, a program that has rows of both may write
act(gate) * up instead: then no launch after it does.

Shape suffixes: M tokens, N out features, K in features, P parts of K.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.activation import TURN, gated_interleaved, interleaved_row
from inferd_ops_triton.kernels.chain import (
    ALONE,
    Chain,
    fetch_into_l2,
    let_next_start,
    wait_for_previous,
)
from inferd_ops_triton.tables import Route

REDUCED_AT_ONCE = 512
AHEAD = tl.constexpr(1)  # tiles of W that are fetched while the kernel before still runs


@triton.jit(do_not_specialize=["M"])
def skinny_kernel(
    x_ptr,  # [M, K]
    weight_ptr,  # [N, K], contiguous
    bias_ptr,  # [N] or None
    out_ptr,  # [P, M, N]; [M, N / 2] with an activation
    M,
    N,
    K,
    x_stride,
    ACT: tl.constexpr,  # None, or of gate, where W is gate and up
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    EVEN: tl.constexpr,  # whether BLOCK_K divides every part
    CHAINED: tl.constexpr,
):
    # grid: (blocks of N, P)
    start = tl.program_id(0) * BLOCK_N
    part = tl.program_id(1)
    n, m, k = start + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_M), tl.arange(0, BLOCK_K)
    row = n if ACT is None else interleaved_row(n, N // 2, TURN)
    inside_n, inside_m = (n < N)[:, None], (m < M)[None, :]
    size = tl.cdiv(K, tl.num_programs(1) * BLOCK_K) * BLOCK_K
    first = part * size
    last = tl.minimum(K, first + size)

    weight_ptrs = weight_ptr + first + row.to(tl.int64)[:, None] * K + k[None, :]

    let_next_start(CHAINED)
    if CHAINED and EVEN:
        row_ptrs = weight_ptr + tl.minimum(row, N - 1).to(tl.int64) * K + first
        fetch_into_l2(row_ptrs, tl.minimum(AHEAD * BLOCK_K, last - first))
    wait_for_previous(CHAINED)

    x_ptrs = x_ptr + first + m[None, :] * x_stride + k[:, None]
    sums = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
    for done in range(first, last, BLOCK_K):
        weight_mask, x_mask = inside_n, inside_m
        if not EVEN:
            weight_mask = weight_mask & (done + k < last)[None, :]
            x_mask = x_mask & (done + k < last)[:, None]
        weight = tl.load(weight_ptrs, mask=weight_mask, other=0.0, eviction_policy="evict_first")
        x = tl.load(x_ptrs, mask=x_mask, other=0.0)
        sums = tl.dot(weight, x, sums)
        weight_ptrs += BLOCK_K
        x_ptrs += BLOCK_K

    if bias_ptr is not None:
        sums += tl.load(bias_ptr + row, mask=n < N, other=0.0).to(tl.float32)[:, None]
    if ACT is not None:
        sums = gated_interleaved(sums, ACT, TURN)
        N //= 2
        n = start // 2 + tl.arange(0, BLOCK_N // 2)
    out_ptrs = out_ptr + (part * M + m)[None, :] * N + n[:, None]
    tl.store(out_ptrs, sums.to(out_ptr.dtype.element_ty), mask=(n < N)[:, None] & inside_m)


@triton.jit(do_not_specialize=["size"])
def add_parts_kernel(
    parts_ptr,  # [P, M N], float32
    bias_ptr,  # [N] or None
    out_ptr,  # [M N]
    size,  # M N
    N,
    PARTS: tl.constexpr,
    BLOCK: tl.constexpr,
    CHAINED: tl.constexpr,
):
    # grid: (blocks of M N,)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size

    let_next_start(CHAINED)
    wait_for_previous(CHAINED)

    total = tl.zeros((BLOCK,), tl.float32)
    for part in tl.static_range(PARTS):
        total += tl.load(parts_ptr + part * size + at, mask=inside, other=0.0)
    if bias_ptr is not None:
        total += tl.load(bias_ptr + at % N, mask=inside, other=0.0).to(tl.float32)
    tl.store(out_ptr + at, total.to(out_ptr.dtype.element_ty), mask=inside)


def skinny(
    x_MK: Tensor,
    weight_NK: Tensor,
    bias_N: Tensor | None,
    route: Route,
    chain: Chain = ALONE,
    act: str | None = None,
) -> Tensor:
    """Of at most `route.block_m` tokens; with `act` only in one part, and N a multiple of 16."""
    tokens, (size, inner), parts = x_MK.shape[0], weight_NK.shape, route.parts
    width = size if act is None else size // 2
    out_MN, sums = outputs((tokens, width), parts, x_MK.dtype, x_MK.device)
    skinny_kernel[(triton.cdiv(size, route.block_n), parts)](
        x_MK, weight_NK, None if parts > 1 else bias_N, sums, tokens, size, inner,
        x_MK.stride(0), act, route.block_m, route.block_n, route.block_k,
        inner % route.block_k == 0, num_warps=route.warps, num_stages=route.stages, **chain,
    )  # fmt: skip
    return out_MN if parts == 1 else add_parts(sums, bias_N, out_MN, chain)


def outputs(
    shape: tuple[int, int], parts: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """[M, N], and what a kernel writes: the same, or sums in float32 for each part of K."""
    out_MN = torch.empty(shape, dtype=dtype, device=device)
    if parts == 1:
        return out_MN, out_MN
    return out_MN, torch.empty(parts, *shape, dtype=torch.float32, device=device)


def add_parts(sums_PMN: Tensor, bias_N: Tensor | None, out_MN: Tensor, chain: Chain) -> Tensor:
    """`out_MN`, which it fills."""
    size = out_MN.numel()
    add_parts_kernel[(triton.cdiv(size, REDUCED_AT_ONCE),)](
        sums_PMN, bias_N, out_MN, size, out_MN.shape[1], len(sums_PMN), REDUCED_AT_ONCE,
        num_warps=4, **chain,
    )  # fmt: skip
    return out_MN
