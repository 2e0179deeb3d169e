"""Rounding of inputs to 8 bits, alone or with what makes them: the activation or the norm before.

A scale is for a token, or for each group of its inputs. What comes out is what rounding the result
of the other op would give, to the bit.

Shape suffixes: T tokens, D hidden, K in features, G groups of K, S inputs of a group.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd.contracts.scaled_formats import TINY, RoundedInputs
from inferd_ops_triton.kernels.activation import activated
from inferd_ops_triton.kernels.chain import (
    ALONE,
    Chain,
    let_next_start,
    let_next_start_late,
    wait_for_previous,
)
from inferd_ops_triton.kernels.norm import normed
from inferd_ops_triton.rounded import Rounding

AT_ONCE = 1024  # inputs a program takes, of small groups
MOST_WARPS = 16 if torch.version.hip else 32  # 1,024 threads
LEAST = tl.constexpr(TINY)
HALFWAY = tl.constexpr(12582912.0)  # 1.5 * 2 ** 23: what is added to it loses its fraction


@triton.jit
def rounded(x_GS, scale, STATIC: tl.constexpr, MOST: tl.constexpr, KIND: tl.constexpr):
    """Codes, to the nearest, ties to even, and scales; `scale` is that of all if STATIC."""
    scales_G = tl.maximum(tl.max(tl.abs(x_GS), 1), LEAST)
    if STATIC:
        scales_G = tl.zeros_like(scales_G) + scale
    else:
        scales_G = tl.div_rn(scales_G, tl.zeros_like(scales_G) + MOST)
    codes_GS = x_GS * tl.div_rn(tl.zeros_like(scales_G) + 1.0, scales_G)[:, None]
    codes_GS = tl.minimum(tl.maximum(codes_GS, -MOST), MOST)
    if tl.int8 == KIND:
        codes_GS = (codes_GS + HALFWAY) - HALFWAY
    return codes_GS.to(KIND), scales_G


@triton.jit
def round_kernel(
    x_ptr,  # [T, K], or [T, 2 K] with ACT
    codes_ptr,  # [T, K], contiguous
    scales_ptr,  # [T, G], contiguous
    scale,  # of all, if STATIC
    x_stride,
    STATIC: tl.constexpr,
    MOST: tl.constexpr,
    ACT: tl.constexpr,  # what is rounded is act(first half) * second half; None: x
    K: tl.constexpr,
    SIZE: tl.constexpr,  # of a group
    BLOCK_G: tl.constexpr,
    BLOCK_S: tl.constexpr,
    CHAINED: tl.constexpr,
):
    # grid: (T * blocks of groups,)
    GROUPS: tl.constexpr = (K + SIZE - 1) // SIZE
    BLOCKS: tl.constexpr = (GROUPS + BLOCK_G - 1) // BLOCK_G
    program = tl.program_id(0)
    row = (program // BLOCKS).to(tl.int64)
    g = (program % BLOCKS) * BLOCK_G + tl.arange(0, BLOCK_G)
    s = tl.arange(0, BLOCK_S)
    at = g[:, None] * SIZE + s[None, :]
    inside = (at < K) & (s < SIZE)[None, :]

    let_next_start(CHAINED)
    wait_for_previous(CHAINED)

    x_ptrs = x_ptr + row * x_stride + at
    x_GS = tl.load(x_ptrs, mask=inside, other=0.0).to(tl.float32)
    if ACT is not None:
        up_GS = tl.load(x_ptrs + K, mask=inside, other=0.0).to(tl.float32)
        x_GS = (activated(x_GS, ACT) * up_GS).to(x_ptr.dtype.element_ty).to(tl.float32)
    let_next_start_late(CHAINED)
    codes_GS, scales_G = rounded(x_GS, scale, STATIC, MOST, codes_ptr.dtype.element_ty)
    tl.store(codes_ptr + row * K + at, codes_GS, mask=inside)
    tl.store(scales_ptr + row * GROUPS + g, scales_G, mask=g < GROUPS)


@triton.jit
def norm_round_kernel(
    x_ptr,  # [T, D]
    residual_ptr,  # [T, D]: the sum is written here; None: x is normed
    weight_ptr,  # [D]
    codes_ptr,  # [T, D], contiguous
    scales_ptr,  # [T, G], contiguous
    scale,  # of all, if STATIC
    x_stride,
    residual_stride,
    STATIC: tl.constexpr,
    MOST: tl.constexpr,
    EPS: tl.constexpr,
    D: tl.constexpr,
    SIZE: tl.constexpr,  # of a group
    BLOCK_D: tl.constexpr,
    BLOCK_S: tl.constexpr,
    CHAINED: tl.constexpr,
):
    # grid: (T,)
    row = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, BLOCK_D)
    inside = d < D
    BLOCK_G: tl.constexpr = BLOCK_D // BLOCK_S
    GROUPS: tl.constexpr = (D + SIZE - 1) // SIZE
    g = tl.arange(0, BLOCK_G)

    let_next_start(CHAINED)
    weight_D = tl.load(weight_ptr + d, mask=inside, other=0.0)
    wait_for_previous(CHAINED)

    x_D = tl.load(x_ptr + row * x_stride + d, mask=inside, other=0.0).to(tl.float32)
    if residual_ptr is not None:
        residual_ptrs = residual_ptr + row * residual_stride + d
        x_D += tl.load(residual_ptrs, mask=inside, other=0.0).to(tl.float32)
        total_D = x_D.to(x_ptr.dtype.element_ty)
        tl.store(residual_ptrs, total_D, mask=inside)
        x_D = total_D.to(tl.float32)
    let_next_start_late(CHAINED)
    out_D = normed(x_D, weight_D, EPS, D, x_ptr.dtype.element_ty).to(tl.float32)
    kind: tl.constexpr = codes_ptr.dtype.element_ty
    codes_GS, scales_G = rounded(tl.reshape(out_D, (BLOCK_G, BLOCK_S)), scale, STATIC, MOST, kind)
    tl.store(codes_ptr + row * D + d, tl.reshape(codes_GS, (BLOCK_D,)), mask=inside)
    tl.store(scales_ptr + row * GROUPS + g, scales_G, mask=g < GROUPS)


def round_inputs(
    x_TK: Tensor, rounding: Rounding, chain: Chain = ALONE, act: str | None = None
) -> RoundedInputs:
    """With `act`, x is [T, 2 K], and act(gate) * up is rounded. A token's inputs lie together."""
    inputs = x_TK.shape[1] // (1 if act is None else 2)
    size = rounding.group or inputs
    out = _empty(len(x_TK), inputs, rounding, x_TK.device)
    block_s = triton.next_power_of_2(size)
    block_g = max(1, AT_ONCE // block_s)
    round_kernel[(len(x_TK) * triton.cdiv(triton.cdiv(inputs, size), block_g),)](
        x_TK, out.codes_TK, out.scales_TG, rounding.scale or 0.0, x_TK.stride(0),
        rounding.scale is not None, rounding.most, act, inputs, size, block_g, block_s,
        num_warps=warps(block_g * block_s), **chain,
    )  # fmt: skip
    return out


def round_normed(
    x_TD: Tensor,
    residual_TD: Tensor | None,
    weight_D: Tensor,
    eps: float,
    rounding: Rounding,
    chain: Chain = ALONE,
) -> RoundedInputs:
    """The norm of x + residual, which stays in the residual's memory; of x where that is None."""
    rows, inputs = x_TD.shape
    out = _empty(rows, inputs, rounding, x_TD.device)
    block = max(triton.next_power_of_2(inputs), rounding.group or 1)
    norm_round_kernel[(rows,)](
        x_TD, residual_TD, weight_D, out.codes_TK, out.scales_TG, rounding.scale or 0.0,
        x_TD.stride(0), 0 if residual_TD is None else residual_TD.stride(0),
        rounding.scale is not None, rounding.most, eps, inputs, rounding.group or inputs, block,
        rounding.group or block, num_warps=warps(block), **chain,
    )  # fmt: skip
    return out


def _empty(tokens: int, inputs: int, rounding: Rounding, device: torch.device) -> RoundedInputs:
    groups = triton.cdiv(inputs, rounding.group or inputs)
    return RoundedInputs(
        torch.empty(tokens, inputs, dtype=rounding.dtype, device=device),
        torch.empty(tokens, groups, dtype=torch.float32, device=device),
    )


def warps(elements: int, most: int = MOST_WARPS) -> int:
    """16 elements a thread: two 16-byte loads of 16-bit numbers."""
    return min(most, max(1, elements // 512))
