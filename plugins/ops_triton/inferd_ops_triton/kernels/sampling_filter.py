"""draw_filtered: a search among the few largest logits; sampling_wide.py where those are too few.

Shape suffixes: N rows, V vocabulary, B blocks of a row, P tiles of a row, C candidates.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd.contracts.sampling_ops import FilterParams
from inferd_ops_triton.kernels.sampling_launch import one_stride, rows_of
from inferd_ops_triton.kernels.sampling_numbers import (
    NO_ID,
    OUTSIDE,
    finite_peak,
    gumbel,
    log_or_least,
    order,
    row_words,
    token_words,
    unorder,
)
from inferd_ops_triton.kernels.sampling_scan import scan, total_mass
from inferd_ops_triton.kernels.sampling_search import gather, kth_largest, lowest, winner
from inferd_ops_triton.kernels.sampling_wide import draw_wide

CANDIDATES = 1024  # that a program holds; top_k 50 over 1,002 blocks of random logits leaves 52
SEEK = 256  # block maxima that candidates must reach where there is no top_k
GROUP = 16  # blocks read at a time
WARPS = 4


@triton.jit
def _candidates(row_ptr, list_ptr, found, k, peak, temperature, floor, C: tl.constexpr):
    """[C]: ids, logits as `order` has them, less the peak over the temperature, and their masses.

    Of the `found` ids of a list; those that top_k or min_p leaves out have none.
    """
    c = tl.arange(0, C)
    ids = tl.load(list_ptr + c, mask=c < found, other=0)
    x = tl.load(row_ptr + ids).to(tl.float32)
    keys = tl.where(c < found, order(x), OUTSIDE)
    ids = tl.where(c < found, ids, NO_ID)
    last = OUTSIDE
    if k > 0:
        last = kth_largest(keys, k)
    scaled = (x - finite_peak(peak)) / temperature
    kept = (c < found) & (keys >= last) & (scaled >= floor)
    return ids, keys, scaled, tl.where(kept, tl.exp(scaled), 0.0)


@triton.jit(
    do_not_specialize=["floats_stride", "ints_stride"],
    do_not_specialize_on_alignment=[
        "temperature_ptr", "top_p_ptr", "min_p_ptr", "top_k_ptr", "keys_ptr", "positions_ptr",
    ],
)  # fmt: skip
def draw_few_kernel(
    logits_ptr,  # [N, V]
    temperature_ptr,  # [N]
    top_p_ptr,  # [N]
    min_p_ptr,  # [N]
    top_k_ptr,  # [N]
    keys_ptr,  # [N]
    positions_ptr,  # [N]
    tops_ptr,  # [N, B]
    peaks_ptr,  # [N, P]
    masses_ptr,  # [N, P]
    scratch_ptr,  # [N, B + C] int32
    best_ptr,  # [N]
    ids_ptr,  # [N]
    wide_ptr,  # [N] int32: 1 where the candidates do not decide
    logits_stride,
    floats_stride,
    ints_stride,
    V: tl.constexpr,
    B: tl.constexpr,
    P: tl.constexpr,
    C: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_P: tl.constexpr,
    SEEK: tl.constexpr,
    GROUP: tl.constexpr,
    UNBOUNDED: tl.constexpr,
):
    # grid: (N,)
    row = tl.program_id(0).to(tl.int64)
    row_ptr = logits_ptr + row * logits_stride
    temperature = tl.load(temperature_ptr + row * floats_stride)
    top_p = tl.load(top_p_ptr + row * floats_stride)
    floor = log_or_least(tl.load(min_p_ptr + row * floats_stride))
    k = tl.load(top_k_ptr + row * ints_stride).to(tl.int32)

    b = tl.arange(0, BLOCK_B)
    tops = tl.load(tops_ptr + row * B + b, mask=b < B, other=OUTSIDE)
    peak = unorder(tl.max(tops, 0))
    cut, bounded = lowest(tops, peak, k, floor, temperature, B, SEEK)
    list_ptr = scratch_ptr + row * (B + C)
    found = gather(row_ptr, list_ptr, list_ptr + B, tops, b, cut, V, BLOCK, GROUP, C)
    ids, keys, scaled, masses = _candidates(
        row_ptr, list_ptr + B, found, k, peak, temperature, floor, C
    )
    inside = tl.sum(masses, 0)
    total = inside
    if UNBOUNDED:  # noqa: SIM102 - one is known to the compiler, the other to the program
        if not bounded:
            total = total_mass(peaks_ptr, masses_ptr, row, peak, 1.0 / temperature, P, BLOCK_P)
    goal = total * top_p

    low, odd = row_words(tl.load(keys_ptr + row * ints_stride), tl.load(positions_ptr + row))
    scores = order(scaled + gumbel(token_words(ids), low, odd, False))
    decided = bounded | ((floor == -float("inf")) & (top_p < 1.0) & (inside >= goal))
    decided = decided & (found <= C)
    if decided:
        picked = winner(ids, keys, scores, masses, goal, top_p)
        tl.store(ids_ptr + row, picked.to(tl.int64))
    tl.store(best_ptr + row, peak)
    tl.store(wide_ptr + row, 1 - decided.to(tl.int32))


def draw_filtered(
    logits_NV: Tensor, params: FilterParams, keys_N: Tensor, positions_N: Tensor
) -> tuple[Tensor, Tensor]:
    logits_NV = rows_of(logits_NV)
    (rows, size), device = logits_NV.shape, logits_NV.device
    floats, floats_stride = one_stride(params.temperature_N, params.top_p_N, params.min_p_N)
    ints, ints_stride = one_stride(params.top_k_N, keys_N)
    columns = (*floats, *ints, positions_N.contiguous())
    found = scan(logits_NV, params.temperature_N, mass=params.unbounded)
    blocks, tiles = found.tops_NB.shape[1], found.peaks_NP.shape[1]
    scratch = torch.empty(rows, blocks + CANDIDATES, dtype=torch.int32, device=device)
    best_N = torch.empty(rows, dtype=torch.float32, device=device)
    ids_N = torch.empty(rows, dtype=torch.int64, device=device)
    wide_N = torch.empty(rows, dtype=torch.int32, device=device)
    strides = (logits_NV.stride(0), floats_stride, ints_stride)
    draw_few_kernel[(rows,)](
        logits_NV,
        *columns,
        found.tops_NB,
        found.peaks_NP,
        found.masses_NP,
        scratch,
        best_N,
        ids_N,
        wide_N,
        *strides,
        size,
        blocks,
        tiles,
        CANDIDATES,
        found.block,
        triton.next_power_of_2(blocks),
        triton.next_power_of_2(max(1, tiles)),
        SEEK,
        GROUP,
        params.unbounded,
        num_warps=WARPS,
    )
    draw_wide(logits_NV, columns, best_N, ids_N, wide_N, strides)
    return best_N, ids_N
