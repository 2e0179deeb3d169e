"""Rows of the embedding table, a token per program.

Shape suffixes: T tokens, V vocabulary, D hidden.
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
from inferd_ops_triton.kernels.norm import warps


@triton.jit
def embedding_kernel(
    ids_ptr,  # [T]
    weight_ptr,  # [V, D]
    out_ptr,  # [T, D]
    weight_stride,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    CHAINED: tl.constexpr,
):
    # grid: (T,)
    token = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, BLOCK_D)
    inside = d < D

    let_next_start(CHAINED)
    wait_for_previous(CHAINED)

    row = tl.load(ids_ptr + token).to(tl.int64)
    value_D = tl.load(weight_ptr + row * weight_stride + d, mask=inside)
    let_next_start_late(CHAINED)
    tl.store(out_ptr + token * D + d, value_D, mask=inside)


def embedding(ids_T: Tensor, weight_VD: Tensor, chain: Chain = ALONE) -> Tensor:
    tokens, size = ids_T.shape[0], weight_VD.shape[1]
    out_TD = torch.empty(tokens, size, dtype=weight_VD.dtype, device=weight_VD.device)
    block = triton.next_power_of_2(size)
    embedding_kernel[(tokens,)](
        ids_T, weight_VD, out_TD, weight_VD.stride(0), size, block, num_warps=warps(block), **chain
    )
    return out_TD
