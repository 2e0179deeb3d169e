"""Act-order of experts: what a token's experts multiply, in the order of their weights' columns.

Shape suffixes: T tokens, M experts, C of them chosen for a token, P = T * C pairs, D hidden.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK_D = 1024


@triton.jit
def ordered_kernel(
    x_ptr,  # [T, D]
    chosen_ptr,  # [P]
    order_ptr,  # [M, D]
    out_ptr,  # [P, D]
    D,
    x_stride,
    C: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    # grid: (P, blocks of D)
    pair = tl.program_id(0).to(tl.int64)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    expert = tl.load(chosen_ptr + pair).to(tl.int64)
    column = tl.load(order_ptr + expert * D + d, mask=d < D, other=0)
    x = tl.load(x_ptr + pair // C * x_stride + column, mask=d < D)
    tl.store(out_ptr + pair * D + d, x, mask=d < D)


def ordered(x_TD: Tensor, chosen_TC: Tensor, order_MD: Tensor) -> Tensor:
    """x_PD, pairs in the order of tokens."""
    pairs, size = chosen_TC.numel(), x_TD.shape[1]
    out_PD = torch.empty(pairs, size, dtype=x_TD.dtype, device=x_TD.device)
    ordered_kernel[(pairs, triton.cdiv(size, BLOCK_D))](
        x_TD, chosen_TC.contiguous(), order_MD, out_PD, size, x_TD.stride(0), chosen_TC.shape[1],
        BLOCK_D, num_warps=4,
    )  # fmt: skip
    return out_PD
