"""Dealing a step's pairs of a token and an expert: sorted by expert, in tiles of one expert's rows.

Nothing is known on the host of how many tokens an expert has. One launch: the program of an expert
counts all pairs, which says where its own begin, and then writes them in the order of tokens.

Shape suffixes: T tokens, M experts, C of them chosen for a token, P = T * C pairs, B tiles.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

AT_ONCE = 1024  # pairs


class Dealt(NamedTuple):
    """In int32. A tile is some rows of `pairs_P`, up to its expert's end."""

    pairs_P: Tensor  # sorted by expert
    experts_B: Tensor  # M where there is no tile
    firsts_B: Tensor  # the tile's first row; anything where there is none
    ends_M: Tensor  # where the expert's rows end


@triton.jit(do_not_specialize=["P", "B"])
def deal_kernel(
    chosen_ptr,  # [P]
    pairs_ptr,
    experts_ptr,
    firsts_ptr,
    ends_ptr,
    P,
    B,
    M: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_M: tl.constexpr,  # above M: what is no pair counts as expert M
):
    # grid: (M,)
    expert = tl.program_id(0)
    p, m = tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_M)
    count_m = tl.zeros((BLOCK_M,), tl.int32)
    for first in range(0, P, BLOCK_P):
        chosen = tl.load(chosen_ptr + first + p, mask=first + p < P, other=M)
        count_m += tl.histogram(chosen.to(tl.int32), BLOCK_M)

    start = tl.sum(tl.where(m < expert, count_m, 0))
    tile = tl.sum(tl.where(m < expert, tl.cdiv(count_m, ROWS), 0))
    mine = tl.sum(tl.where(m == expert, count_m, 0))
    end = tile + tl.cdiv(mine, ROWS)
    tl.store(ends_ptr + expert, start + mine)
    for first in range(tile, end, BLOCK_M):
        inside = first + m < end
        tl.store(experts_ptr + first + m, expert, mask=inside)
        tl.store(firsts_ptr + first + m, start + (first - tile + m) * ROWS, mask=inside)
    if expert == M - 1:
        for first in range(end, B, BLOCK_M):
            tl.store(experts_ptr + first + m, M, mask=first + m < B)

    for first in range(0, P, BLOCK_P):
        chosen = tl.load(chosen_ptr + first + p, mask=first + p < P, other=M)
        own = (chosen == expert).to(tl.int32)
        tl.store(pairs_ptr + start + tl.cumsum(own) - own, first + p, mask=own == 1)
        start += tl.sum(own)


def deal(chosen_TC: Tensor, num_experts: int, rows: int) -> Dealt:
    """Tiles of `rows`, as many as there may have to be."""
    pairs = chosen_TC.numel()
    tiles = pairs // rows + min(num_experts, pairs)
    sizes = (pairs, tiles, tiles, num_experts)
    made = [torch.empty(n, dtype=torch.int32, device=chosen_TC.device) for n in sizes]
    deal_kernel[(num_experts,)](
        chosen_TC.contiguous(), *made, pairs, tiles, M=num_experts, ROWS=rows,
        BLOCK_P=min(AT_ONCE, max(16, triton.next_power_of_2(pairs))),
        BLOCK_M=triton.next_power_of_2(num_experts + 1),
    )  # fmt: skip
    return Dealt(*made)
