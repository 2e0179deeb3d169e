"""act(gate) * up over the two halves of a fused row.

Shape suffixes: T tokens, I intermediate.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.chain import (
    ALONE,
    Chain,
    let_next_start,
    let_next_start_late,
    wait_for_previous,
)

ACTIVATIONS = ("silu", "gelu", "gelu_tanh")
TURN = tl.constexpr(8)  # NVIDIA's matrix units give a thread rows that are so far apart
BLOCK_I = 1024
WARPS = 4  # 8 elements a thread: one 16-byte load of 16-bit numbers from each half


@triton.jit
def activated(x, ACT: tl.constexpr):
    if ACT == "silu":
        return x * tl.sigmoid(x)
    if ACT == "gelu":
        return 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))
    # 0.5 (1 + tanh z) = sigmoid(2 z)
    return x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))


@triton.jit
def gated(gate, up, ACT: tl.constexpr):
    if ACT == "clamped_swiglu":
        gate = tl.minimum(gate, 7.0)
        up = tl.minimum(tl.maximum(up, -7.0), 7.0)
        return gate * tl.sigmoid(1.702 * gate) * (up + 1.0)
    return activated(gate, ACT) * up


@triton.jit
def interleaved_row(place, I, TURN: tl.constexpr):  # noqa: E741
    """The row of W [2 I, K] at a place, where TURN rows of gate, then TURN of up take turns."""
    return place // (2 * TURN) * TURN + place % TURN + place // TURN % 2 * I


@triton.jit
def gated_interleaved(x, ACT: tl.constexpr, TURN: tl.constexpr):
    """act(gate) * up [N / 2, M] of rows [N] or [N, M] in the order of `interleaved_row`."""
    ROWS: tl.constexpr = x.shape[0]
    WIDTH: tl.constexpr = x.numel // ROWS
    turns = tl.reshape(x, (ROWS // (2 * TURN), 2, TURN, WIDTH))
    gate, up = tl.split(tl.permute(turns, (0, 2, 3, 1)))
    return tl.reshape(gated(gate, up, ACT), (ROWS // 2, WIDTH))


@triton.jit
def act_and_mul_kernel(
    x_ptr,  # [T, 2 I]
    out_ptr,  # [T, I], contiguous
    x_stride,
    ACT: tl.constexpr,
    I: tl.constexpr,  # noqa: E741
    BLOCK_I: tl.constexpr,
    CHAINED: tl.constexpr,
):
    # grid: (T * blocks of a row,): neighbours read neighbouring memory
    BLOCKS: tl.constexpr = (I + BLOCK_I - 1) // BLOCK_I
    program = tl.program_id(0)
    row = (program // BLOCKS).to(tl.int64)
    i = (program % BLOCKS) * BLOCK_I + tl.arange(0, BLOCK_I)
    inside = i < I

    let_next_start(CHAINED)
    wait_for_previous(CHAINED)

    gate_ptrs = x_ptr + row * x_stride + i
    gate = tl.load(gate_ptrs, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_ptrs + I, mask=inside, other=0.0).to(tl.float32)
    let_next_start_late(CHAINED)
    out = gated(gate, up, ACT).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + row * I + i, out, mask=inside)


def act_and_mul(x_T2I: Tensor, act: str, chain: Chain = ALONE) -> Tensor:
    """`act` is silu, gelu or gelu_tanh."""
    tokens, size = x_T2I.shape[0], x_T2I.shape[1] // 2
    out_TI = torch.empty(tokens, size, dtype=x_T2I.dtype, device=x_T2I.device)
    act_and_mul_kernel[(tokens * triton.cdiv(size, BLOCK_I),)](
        x_T2I, out_TI, x_T2I.stride(0), act, size, BLOCK_I, num_warps=WARPS, **chain
    )
    return out_TI
