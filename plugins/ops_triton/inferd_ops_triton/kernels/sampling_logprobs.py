"""top_logprobs: the k blocks with the largest logits hold the k most likely tokens.

Blocks are taken by largest logit and then by place, tokens by logit and then by id; so the k-th
token lies in one of the first k blocks, however many equal it.

Shape suffixes: N rows, V vocabulary, B blocks of a row, P tiles of a row, K most likely, C = K + 1.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.sampling_launch import rows_of
from inferd_ops_triton.kernels.sampling_numbers import (
    NOTHING,
    OUTSIDE,
    id_of,
    key_of,
    next_best,
    order,
    pack,
    unorder,
)
from inferd_ops_triton.kernels.sampling_scan import scan, total_mass

FEW, MANY = 8, 32  # blocks that a program holds: two variants for all that a request may ask for
WARPS = 4


@triton.jit
def first_blocks(tops, b, most, BLOCK_K: tl.constexpr):
    """The numbers of the first `most` blocks; -1 where there are fewer."""
    packed = pack(tops, b)
    last = tl.max(packed, 0) + 1
    blocks = tl.full([BLOCK_K], -1, tl.int32)
    for k in range(most):
        last = next_best(packed, last)
        here = (tl.arange(0, BLOCK_K) == k) & (key_of(last) != OUTSIDE)
        blocks = tl.where(here, id_of(last), blocks)
    return blocks


@triton.jit(
    do_not_specialize=["most"],
    do_not_specialize_on_alignment=["chosen_ptr"],
)
def top_logprobs_kernel(
    logits_ptr,  # [N, V]
    chosen_ptr,  # [N]
    tops_ptr,  # [N, B]
    peaks_ptr,  # [N, P]
    masses_ptr,  # [N, P]
    above_ptr,  # [N, P]
    ids_ptr,  # [N, C]
    values_ptr,  # [N, C]
    ranks_ptr,  # [N]
    logits_stride,
    most,
    V: tl.constexpr,
    B: tl.constexpr,
    P: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    # grid: (N,)
    row = tl.program_id(0).to(tl.int64)
    row_ptr = logits_ptr + row * logits_stride
    b = tl.arange(0, BLOCK_B)
    tops = tl.load(tops_ptr + row * B + b, mask=b < B, other=OUTSIDE)
    peak = unorder(tl.max(tops, 0))
    total = peak + tl.log(total_mass(peaks_ptr, masses_ptr, row, peak, 1.0, P, BLOCK_P))

    chosen = tl.load(chosen_ptr + row)
    p = tl.arange(0, BLOCK_P)
    above = tl.sum(tl.load(above_ptr + row * P + p, mask=p < P, other=0), 0)
    out = row * (most + 1)
    tl.store(ids_ptr + out, chosen)
    tl.store(values_ptr + out, tl.load(row_ptr + chosen).to(tl.float32) - total)
    tl.store(ranks_ptr + row, (above + 1).to(tl.int64))

    blocks = first_blocks(tops, b, most, BLOCK_K)
    v = blocks[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    inside = (v >= 0) & (v < V)
    x = tl.load(row_ptr + v, mask=inside, other=0.0).to(tl.float32)
    packed = tl.reshape(tl.where(inside, pack(order(x), v), NOTHING), [BLOCK_K * BLOCK])
    last = tl.max(packed, 0) + 1
    for k in range(most):
        last = next_best(packed, last)
        tl.store(ids_ptr + out + 1 + k, id_of(last).to(tl.int64))
        tl.store(values_ptr + out + 1 + k, unorder(key_of(last)) - total)


def top_logprobs(logits_NV: Tensor, chosen_N: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    logits_NV, chosen_N = rows_of(logits_NV), chosen_N.contiguous()
    (rows, size), device = logits_NV.shape, logits_NV.device
    found = scan(logits_NV, chosen_N=chosen_N, mass=True)
    ids_NC = torch.empty(rows, most + 1, dtype=torch.int64, device=device)
    values_NC = torch.empty(rows, most + 1, dtype=torch.float32, device=device)
    ranks_N = torch.empty(rows, dtype=torch.int64, device=device)
    blocks, tiles = found.tops_NB.shape[1], found.peaks_NP.shape[1]
    top_logprobs_kernel[(rows,)](
        logits_NV,
        chosen_N,
        found.tops_NB,
        found.peaks_NP,
        found.masses_NP,
        found.above_NP,
        ids_NC,
        values_NC,
        ranks_N,
        logits_NV.stride(0),
        most,
        size,
        blocks,
        tiles,
        found.block,
        triton.next_power_of_2(blocks),
        triton.next_power_of_2(tiles),
        FEW if most <= FEW else max(MANY, triton.next_power_of_2(most)),
        num_warps=WARPS,
    )
    return ids_NC, values_NC, ranks_N
