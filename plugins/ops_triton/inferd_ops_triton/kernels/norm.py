"""RMSNorm, alone and after adding the residual: a row per program, in registers.

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.chain import (
    ALONE,
    LATE_NEXT,
    Chain,
    let_next_start,
    let_next_start_late,
    wait_for_previous,
)


@triton.jit
def normed(x_D, weight_D, EPS: tl.constexpr, D: tl.constexpr, DTYPE: tl.constexpr):
    """Rounded before the weight, as the models were trained."""
    scale = tl.rsqrt(tl.sum(x_D * x_D, 0) / D + EPS)
    return ((x_D * scale).to(DTYPE).to(tl.float32) * weight_D.to(tl.float32)).to(DTYPE)


@triton.jit
def rms_norm_kernel(
    x_ptr,  # [rows, D]
    weight_ptr,  # [D]
    out_ptr,  # [rows, D], contiguous
    x_stride,
    EPS: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    CHAINED: tl.constexpr,
):
    # grid: (rows,)
    row = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, BLOCK_D)
    inside = d < D

    let_next_start(CHAINED)
    if CHAINED != LATE_NEXT:
        weight_D = tl.load(weight_ptr + d, mask=inside, other=0.0)
    wait_for_previous(CHAINED)

    x_D = tl.load(x_ptr + row * x_stride + d, mask=inside, other=0.0).to(tl.float32)
    if CHAINED == LATE_NEXT:
        weight_D = tl.load(weight_ptr + d, mask=inside, other=0.0)
    let_next_start_late(CHAINED)
    out_D = normed(x_D, weight_D, EPS, D, out_ptr.dtype.element_ty)
    tl.store(out_ptr + row * D + d, out_D, mask=inside)


@triton.jit
def add_rms_norm_kernel(
    x_ptr,  # [T, D]: normed values are written here
    residual_ptr,  # [T, D]: the sum is written here
    weight_ptr,  # [D]
    x_stride,
    residual_stride,
    EPS: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    CHAINED: tl.constexpr,
):
    # grid: (T,)
    row = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, BLOCK_D)
    inside = d < D
    x_ptrs = x_ptr + row * x_stride + d
    residual_ptrs = residual_ptr + row * residual_stride + d

    let_next_start(CHAINED)
    if CHAINED != LATE_NEXT:
        weight_D = tl.load(weight_ptr + d, mask=inside, other=0.0)
    wait_for_previous(CHAINED)

    x_D = tl.load(x_ptrs, mask=inside, other=0.0).to(tl.float32)
    residual_D = tl.load(residual_ptrs, mask=inside, other=0.0).to(tl.float32)
    if CHAINED == LATE_NEXT:
        weight_D = tl.load(weight_ptr + d, mask=inside, other=0.0)
    let_next_start_late(CHAINED)
    total_D = (x_D + residual_D).to(x_ptr.dtype.element_ty)
    tl.store(residual_ptrs, total_D, mask=inside)
    out_D = normed(total_D.to(tl.float32), weight_D, EPS, D, x_ptr.dtype.element_ty)
    tl.store(x_ptrs, out_D, mask=inside)


def rms_norm(x_TD: Tensor, weight_D: Tensor, eps: float, chain: Chain = ALONE) -> Tensor:
    """Of the last dimension, whatever stands before it."""
    size = x_TD.shape[-1]
    rows = x_TD if x_TD.dim() == 2 else x_TD.reshape(-1, size)
    out = torch.empty(x_TD.shape, dtype=x_TD.dtype, device=x_TD.device)
    block = triton.next_power_of_2(size)
    rms_norm_kernel[(rows.shape[0],)](
        rows, weight_D, out, rows.stride(0), eps, size, block, num_warps=warps(block), **chain
    )
    return out


def add_rms_norm(
    x_TD: Tensor, residual_TD: Tensor, weight_D: Tensor, eps: float, chain: Chain = ALONE
) -> tuple[Tensor, Tensor]:
    """(normed, sum), in the memory of x and of the residual."""
    rows, size = x_TD.shape
    block = triton.next_power_of_2(size)
    add_rms_norm_kernel[(rows,)](
        x_TD, residual_TD, weight_D, x_TD.stride(0), residual_TD.stride(0), eps, size, block,
        num_warps=warps(block), **chain,
    )  # fmt: skip
    return x_TD, residual_TD


def warps(block: int) -> int:
    """16 elements a thread: two 16-byte loads of 16-bit numbers."""
    return min(16, max(1, block // 512))
