"""What several programs of packed_warps.py have of a block of rows, added in a fixed order.

Shape suffixes: M tokens, N out features.
"""

from __future__ import annotations

import triton
import triton.language as tl

from inferd_ops_triton.kernels.chain import let_next_start, wait_for_previous


@triton.jit(do_not_specialize=["M", "share"])
def add_shares_kernel(
    parts_ptr,  # [PARTS, M, N]
    bias_ptr,  # [N] or None
    out_ptr,  # [M, N]
    M,
    N,
    share,
    per_block,
    ROWS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    PARTS: tl.constexpr,  # of a block, at most
    CHAINED: tl.constexpr,
):
    # grid: (blocks of N, blocks of M): what several programs have of a block of rows
    block = tl.program_id(0)
    n = block * ROWS + tl.arange(0, ROWS)
    m = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    at = m.to(tl.int64)[:, None] * N + n[None, :]
    inside = (m < M)[:, None] & (n < N)[None, :]
    first = block * per_block // share
    parts = ((block + 1) * per_block - 1) // share + 1 - first

    let_next_start(CHAINED)
    wait_for_previous(CHAINED)

    if parts > 1:
        total = tl.zeros((BLOCK_M, ROWS), tl.float32)
        for part in tl.static_range(PARTS):
            ptrs = parts_ptr + (part * M).to(tl.int64) * N + at
            total += tl.load(ptrs, mask=inside & (part < parts), other=0.0)
        if bias_ptr is not None:
            total += tl.load(bias_ptr + n, mask=n < N, other=0.0).to(tl.float32)[None, :]
        tl.store(out_ptr + at, total.to(out_ptr.dtype.element_ty), mask=inside)
