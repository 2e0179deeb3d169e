"""Rows whose largest logits do not decide the draw: nearly flat ones, or with many equal ones.

The same search as in sampling_search.py, each look a pass over the row, which stays in the L2. One
program a row; a row that was decided already costs it nothing.

Shape suffixes: N rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.sampling_launch import fast_log
from inferd_ops_triton.kernels.sampling_numbers import (
    LEAST,
    finite_peak,
    gumbel,
    id_of,
    log_or_least,
    order,
    pack,
    row_words,
    token_words,
    unorder,
)

TILE, WARPS = 4096, 16


@triton.jit
def kth_of_row(row_ptr, peak, k, V: tl.constexpr, TILE: tl.constexpr):
    """The k-th largest logit, by bisection; -inf where there are fewer tokens."""
    high = order(peak).to(tl.int64)
    low = high * 0 + (LEAST - 1)
    while low < high:
        middle = high - ((high - low) >> 1)
        limit = unorder(middle.to(tl.int32))
        count = tl.zeros([TILE], tl.int32)
        for first in range(0, V, TILE):
            v = first + tl.arange(0, TILE)
            x = tl.load(row_ptr + v, mask=v < V, other=-float("inf")).to(tl.float32)
            count += (x >= limit).to(tl.int32)
        enough = tl.sum(count, 0) >= k
        low = tl.where(enough, middle, low)
        high = tl.where(enough, high, middle - 1)
    return unorder(low.to(tl.int32))


@triton.jit
def survey(
    row_ptr, peak, temperature, floor, last, low, odd, limit, place,
    V: tl.constexpr, TILE: tl.constexpr, DRAWN: tl.constexpr, FAST: tl.constexpr,
):  # fmt: skip
    """Of the kept tokens before (limit, place): with DRAWN the largest score, packed; the mass."""
    best = tl.full([TILE], -float("inf"), tl.float32)
    ids = tl.zeros([TILE], tl.int32)
    masses = tl.zeros([TILE], tl.float32)
    for first in range(0, V, TILE):
        v = first + tl.arange(0, TILE)
        x = tl.load(row_ptr + v, mask=v < V, other=-float("inf")).to(tl.float32)
        scaled = (x - finite_peak(peak)) / temperature
        kept = (x >= last) & (scaled >= floor) & ((x > limit) | ((x == limit) & (v < place)))
        if tl.max(kept.to(tl.int32), 0) != 0:
            masses += tl.where(kept, tl.exp(scaled), 0.0)
            if DRAWN:
                scores = scaled + gumbel(token_words(v), low, odd, FAST)
                better = kept & (scores > best)
                best = tl.where(better, scores, best)
                ids = tl.where(better, v, ids)
    return tl.max(pack(order(best), ids), 0), tl.sum(masses, 0)


@triton.jit
def logit_of(row_ptr, picked):
    return tl.load(row_ptr + id_of(picked)).to(tl.float32)


@triton.jit(
    do_not_specialize=["floats_stride", "ints_stride"],
    do_not_specialize_on_alignment=[
        "temperature_ptr", "top_p_ptr", "min_p_ptr", "top_k_ptr", "keys_ptr", "positions_ptr",
    ],
)  # fmt: skip
def draw_wide_kernel(
    logits_ptr,  # [N, V]
    temperature_ptr,  # [N]
    top_p_ptr,  # [N]
    min_p_ptr,  # [N]
    top_k_ptr,  # [N]
    keys_ptr,  # [N]
    positions_ptr,  # [N]
    best_ptr,  # [N]
    ids_ptr,  # [N]
    wide_ptr,  # [N]
    logits_stride,
    floats_stride,
    ints_stride,
    V: tl.constexpr,
    TILE: tl.constexpr,
    FAST: tl.constexpr,
):
    # grid: (N,)
    row = tl.program_id(0).to(tl.int64)
    if tl.load(wide_ptr + row) == 0:
        return
    row_ptr = logits_ptr + row * logits_stride
    peak = tl.load(best_ptr + row)
    temperature = tl.load(temperature_ptr + row * floats_stride)
    top_p = tl.load(top_p_ptr + row * floats_stride)
    floor = log_or_least(tl.load(min_p_ptr + row * floats_stride))
    k = tl.load(top_k_ptr + row * ints_stride).to(tl.int32)
    low, odd = row_words(tl.load(keys_ptr + row * ints_stride), tl.load(positions_ptr + row))
    last = peak * 0 - float("inf")
    if k > 0:
        last = kth_of_row(row_ptr, peak, k, V, TILE)

    picked, total = survey(
        row_ptr, peak, temperature, floor, last, low, odd, -float("inf"), V, V, TILE, True, FAST
    )
    goal = total * top_p
    ahead = total * 0.0
    if top_p < 1.0:
        limit, place = logit_of(row_ptr, picked), id_of(picked)
        _, ahead = survey(
            row_ptr, peak, temperature, floor, last, low, odd, limit, place, V, TILE, False, FAST
        )
    while (ahead > 0.0) & (ahead >= goal):
        limit, place = logit_of(row_ptr, picked), id_of(picked)
        picked, _ = survey(
            row_ptr, peak, temperature, floor, last, low, odd, limit, place, V, TILE, True, FAST
        )
        limit, place = logit_of(row_ptr, picked), id_of(picked)
        _, ahead = survey(
            row_ptr, peak, temperature, floor, last, low, odd, limit, place, V, TILE, False, FAST
        )
    tl.store(ids_ptr + row, id_of(picked).to(tl.int64))


def draw_wide(
    logits_NV: Tensor,
    columns: Sequence[Tensor],
    best_N: Tensor,
    ids_N: Tensor,
    wide_N: Tensor,
    strides: Sequence[int],
) -> None:
    """Write the ids of the rows that `wide_N` marks."""
    rows, size = logits_NV.shape
    fast = fast_log(logits_NV.device)
    draw_wide_kernel[(rows,)](
        logits_NV, *columns, best_N, ids_N, wide_N, *strides, size, TILE, fast, num_warps=WARPS
    )
