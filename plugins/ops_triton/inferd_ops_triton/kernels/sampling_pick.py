"""argmax and draw: the vocabulary dealt to programs in tiles, then one program per row.

Shape suffixes: N rows, V vocabulary, P tiles of a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.sampling_launch import fast_log, rows_of
from inferd_ops_triton.kernels.sampling_numbers import (
    NOTHING,
    OUTSIDE,
    gumbel,
    id_of,
    largest,
    pack,
    row_words,
    token_words,
    unorder,
)

ARGMAX_TILE, ARGMAX_WARPS = 8192, 8
DRAW_TILE, DRAW_WARPS = 2048, 4
DRAW_ROWS = 8  # that share a tile's words, which cost more than the noise of a row


@triton.jit
def argmax_kernel(
    logits_ptr,  # [N, V]
    best_ptr,  # [N, P] int32: order of the largest logit
    picked_ptr,  # [N, P] int64: packed
    logits_stride,
    V: tl.constexpr,
    P: tl.constexpr,
    TILE: tl.constexpr,
):
    # grid: (N * P,)
    row = (tl.program_id(0) // P).to(tl.int64)
    v = (tl.program_id(0) % P) * TILE + tl.arange(0, TILE)
    x = tl.load(logits_ptr + row * logits_stride + v, mask=v < V, other=0.0).to(tl.float32)
    best, first = largest(x, v, V)
    tl.store(best_ptr + tl.program_id(0), best)
    tl.store(picked_ptr + tl.program_id(0), pack(best, first))


@triton.jit(
    do_not_specialize=["rows", "temperature_stride", "keys_stride"],
    do_not_specialize_on_alignment=["temperature_ptr", "keys_ptr", "positions_ptr"],
)
def draw_kernel(
    logits_ptr,  # [N, V]
    temperature_ptr,  # [N]
    keys_ptr,  # [N]
    positions_ptr,  # [N]
    best_ptr,  # [N, P] int32: order of the largest logit
    picked_ptr,  # [N, P] int64: packed, with the order of the score
    logits_stride,
    temperature_stride,
    keys_stride,
    rows,
    V: tl.constexpr,
    P: tl.constexpr,
    TILE: tl.constexpr,
    ROWS: tl.constexpr,
    FAST: tl.constexpr,
):
    # grid: (groups of ROWS rows * P,)
    tile = tl.program_id(0) % P
    v = tile * TILE + tl.arange(0, TILE)
    words = token_words(v)
    first = (tl.program_id(0) // P) * ROWS
    for i in range(tl.minimum(ROWS, rows - first)):
        at = (first + i).to(tl.int64)
        scale = 1.0 / tl.load(temperature_ptr + at * temperature_stride)
        key, position = tl.load(keys_ptr + at * keys_stride), tl.load(positions_ptr + at)
        low, odd = row_words(key, position)
        x = tl.load(logits_ptr + at * logits_stride + v, mask=v < V, other=0.0).to(tl.float32)
        best, _ = largest(x, v, V)
        score, picked = largest(x * scale + gumbel(words, low, odd, FAST), v, V)
        tl.store(best_ptr + at * P + tile, best)
        tl.store(picked_ptr + at * P + tile, pack(score, picked))


@triton.jit
def collect_kernel(
    parts_best_ptr,  # [N, P] int32
    parts_picked_ptr,  # [N, P] int64
    best_ptr,  # [N]
    ids_ptr,  # [N]
    P: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    # grid: (N,)
    row = tl.program_id(0)
    p = tl.arange(0, BLOCK_P)
    best = tl.load(parts_best_ptr + row * P + p, mask=p < P, other=OUTSIDE)
    picked = tl.load(parts_picked_ptr + row * P + p, mask=p < P, other=NOTHING)
    tl.store(best_ptr + row, unorder(tl.max(best, 0)))
    tl.store(ids_ptr + row, id_of(tl.max(picked, 0)).to(tl.int64))


class Parts:
    """What the tiles found, and the one launch that joins it."""

    def __init__(self, rows: int, parts: int, device: torch.device) -> None:
        self.best_NP = torch.empty(rows, parts, dtype=torch.int32, device=device)
        self.picked_NP = torch.empty(rows, parts, dtype=torch.int64, device=device)

    def collect(self) -> tuple[Tensor, Tensor]:
        rows, parts = self.best_NP.shape
        best_N = torch.empty(rows, dtype=torch.float32, device=self.best_NP.device)
        ids_N = torch.empty(rows, dtype=torch.int64, device=self.best_NP.device)
        collect_kernel[(rows,)](
            self.best_NP,
            self.picked_NP,
            best_N,
            ids_N,
            parts,
            triton.next_power_of_2(parts),
            num_warps=1,
        )
        return best_N, ids_N


def argmax(logits_NV: Tensor) -> tuple[Tensor, Tensor]:
    logits_NV = rows_of(logits_NV)
    rows, size = logits_NV.shape
    tiles = triton.cdiv(size, ARGMAX_TILE)
    parts = Parts(rows, tiles, logits_NV.device)
    argmax_kernel[(rows * tiles,)](
        logits_NV,
        parts.best_NP,
        parts.picked_NP,
        logits_NV.stride(0),
        size,
        tiles,
        ARGMAX_TILE,
        num_warps=ARGMAX_WARPS,
    )
    return parts.collect()


def draw(
    logits_NV: Tensor, temperature_N: Tensor, keys_N: Tensor, positions_N: Tensor
) -> tuple[Tensor, Tensor]:
    logits_NV = rows_of(logits_NV)
    rows, size = logits_NV.shape
    tiles = triton.cdiv(size, DRAW_TILE)
    parts = Parts(rows, tiles, logits_NV.device)
    draw_kernel[(triton.cdiv(rows, DRAW_ROWS) * tiles,)](
        logits_NV,
        temperature_N,
        keys_N,
        positions_N.contiguous(),
        parts.best_NP,
        parts.picked_NP,
        logits_NV.stride(0),
        temperature_N.stride(0),
        keys_N.stride(0),
        rows,
        size,
        tiles,
        DRAW_TILE,
        DRAW_ROWS,
        fast_log(logits_NV.device),
        num_warps=DRAW_WARPS,
    )
    return parts.collect()
