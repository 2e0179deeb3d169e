"""x W^T of one token: a few rows of W per program, products in float32.

Shape suffixes: N out features, K in features.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.activation import gated_interleaved, interleaved_row
from inferd_ops_triton.kernels.chain import ALONE, Chain, let_next_start, wait_for_previous
from inferd_ops_triton.tables import Route


@triton.jit
def gemv_kernel(
    x_ptr,  # [K]
    weight_ptr,  # [N, K], contiguous
    bias_ptr,  # [N] or None
    out_ptr,  # [N]; [N / 2] with an activation
    N,
    K,
    ACT: tl.constexpr,  # None, or of gate, where W is gate and up
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    CHAINED: tl.constexpr,
):
    # grid: (blocks of N,)
    start = tl.program_id(0) * BLOCK_N
    n, k = start + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_K)
    row = n if ACT is None else interleaved_row(n, N // 2, 1)
    weight_ptrs = weight_ptr + row.to(tl.int64)[:, None] * K + k[None, :]
    inside_N1 = (n < N)[:, None]

    # each tile is fetched while the one before is multiplied, the first while others still run
    let_next_start(CHAINED)
    tile = tl.load(
        weight_ptrs, mask=inside_N1 & (k < K)[None, :], other=0.0, eviction_policy="evict_first"
    )
    wait_for_previous(CHAINED)
    sums = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
    for done in range(0, K, BLOCK_K):
        x_K = tl.load(x_ptr + done + k, mask=done + k < K, other=0.0).to(tl.float32)
        current = tile
        weight_ptrs += BLOCK_K
        tile = tl.load(
            weight_ptrs,
            mask=inside_N1 & (done + BLOCK_K + k < K)[None, :],
            other=0.0,
            eviction_policy="evict_first",
        )
        sums += current.to(tl.float32) * x_K[None, :]

    out_N = tl.sum(sums, 1)
    if bias_ptr is not None:
        out_N += tl.load(bias_ptr + row, mask=n < N, other=0.0).to(tl.float32)
    if ACT is not None:
        out_N = tl.ravel(gated_interleaved(out_N, ACT, 1))
        N //= 2
        n = start // 2 + tl.arange(0, BLOCK_N // 2)
    tl.store(out_ptr + n, out_N.to(out_ptr.dtype.element_ty), mask=n < N)


def gemv(
    x_TK: Tensor,
    weight_NK: Tensor,
    bias_N: Tensor | None,
    route: Route,
    chain: Chain = ALONE,
    act: str | None = None,
) -> Tensor:
    """Of a single token; with `act` N is even, and so is the route's block."""
    size, inner = weight_NK.shape
    width = size if act is None else size // 2
    out_TN = torch.empty(1, width, dtype=x_TK.dtype, device=x_TK.device)
    gemv_kernel[(triton.cdiv(size, route.block_n),)](
        x_TK, weight_NK, bias_N, out_TN, size, inner, act, route.block_n, route.block_k,
        num_warps=route.warps, **chain,
    )  # fmt: skip
    return out_TN
