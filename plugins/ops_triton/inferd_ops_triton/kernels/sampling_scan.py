"""One pass over the logits: the largest of every block of tokens, and sums over tiles of blocks.

The k-th largest of the block maxima is at most the k-th largest logit, and few logits lie between
them: what comes after looks at the blocks that reach it and at no others.

Shape suffixes: N rows, V vocabulary, B blocks of a row, P tiles of a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from inferd_ops_triton.kernels.sampling_launch import block_size
from inferd_ops_triton.kernels.sampling_numbers import NAN, finite_peak, order

TILE, WARPS = 8192, 8


@triton.jit(
    do_not_specialize=["temperature_stride"],
    do_not_specialize_on_alignment=["temperature_ptr", "chosen_ptr"],
)
def scan_kernel(
    logits_ptr,  # [N, V]
    temperature_ptr,  # [N]; WARM
    chosen_ptr,  # [N]; RANK
    tops_ptr,  # [N, B] int32: order of the largest logit of the block
    peaks_ptr,  # [N, P] the largest logit of the tile; MASS
    masses_ptr,  # [N, P] sum of exp((logit - peak) / temperature); MASS
    above_ptr,  # [N, P] int32: logits above the chosen token's; RANK
    logits_stride,
    temperature_stride,
    V: tl.constexpr,
    B: tl.constexpr,
    P: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCKS: tl.constexpr,  # of a tile
    MASS: tl.constexpr,
    WARM: tl.constexpr,  # else the temperature is 1
    RANK: tl.constexpr,
):
    # grid: (N * P,)
    part = tl.program_id(0)
    row = (part // P).to(tl.int64)
    b = (part % P) * BLOCKS + tl.arange(0, BLOCKS)
    v = b[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    row_ptr = logits_ptr + row * logits_stride
    x = tl.load(row_ptr + v, mask=v < V, other=-float("inf")).to(tl.float32)
    any_nan = tl.max((x != x).to(tl.int32), 1) != 0  # noqa: PLR0124
    tops = tl.max(x, 1)
    tl.store(tops_ptr + row * B + b, tl.where(any_nan, NAN, order(tops)), mask=b < B)
    if MASS:
        peak = tl.max(tops, 0)
        scale = 1.0
        if WARM:
            scale = 1.0 / tl.load(temperature_ptr + row * temperature_stride)
        mass = tl.exp((x - finite_peak(peak)) * scale)
        tl.store(peaks_ptr + part, peak)
        tl.store(masses_ptr + part, tl.sum(tl.sum(mass, 1), 0))
    if RANK:
        mine = tl.load(row_ptr + tl.load(chosen_ptr + row)).to(tl.float32)
        above = tl.sum(tl.sum((x > mine).to(tl.int32), 1), 0)
        tl.store(above_ptr + part, above)


@triton.jit
def total_mass(peaks_ptr, masses_ptr, row, peak, scale, P: tl.constexpr, BLOCK_P: tl.constexpr):
    """Of a whole row, relative to its `peak`."""
    p = tl.arange(0, BLOCK_P)
    peaks = tl.load(peaks_ptr + row * P + p, mask=p < P, other=-float("inf"))
    masses = tl.load(masses_ptr + row * P + p, mask=p < P, other=0.0)
    return tl.sum(masses * tl.exp((peaks - finite_peak(peak)) * scale), 0)


@dataclass(frozen=True, slots=True)
class Scan:
    """What the pass left on the device; without masses or ranks those are empty."""

    block: int
    tops_NB: Tensor
    peaks_NP: Tensor
    masses_NP: Tensor
    above_NP: Tensor

    @classmethod
    def empty(cls, logits_NV: Tensor, block: int, tile: int, mass: bool, rank: bool) -> Scan:
        (rows, size), device = logits_NV.shape, logits_NV.device
        tiles = triton.cdiv(size, tile)
        blocks = triton.cdiv(size, block)
        # one tensor each: slices of one may be aligned otherwise, and kernels are compiled for that
        peaks_NP, masses_NP = (
            torch.empty(rows, tiles if mass else 0, dtype=torch.float32, device=device)
            for _ in range(2)
        )
        return cls(
            block,
            torch.empty(rows, blocks, dtype=torch.int32, device=device),
            peaks_NP,
            masses_NP,
            torch.empty(rows, tiles if rank else 0, dtype=torch.int32, device=device),
        )


def scan(
    logits_NV: Tensor,
    temperature_N: Tensor | None = None,
    chosen_N: Tensor | None = None,
    *,
    mass: bool,
) -> Scan:
    """Masses at temperature 1 where none is given; ranks where there are chosen tokens."""
    rows, size = logits_NV.shape
    block = block_size(size)
    found = Scan.empty(logits_NV, block, TILE, mass, chosen_N is not None)
    tiles = triton.cdiv(size, TILE)
    scan_kernel[(rows * tiles,)](
        logits_NV,
        logits_NV if temperature_N is None else temperature_N,
        logits_NV if chosen_N is None else chosen_N,
        found.tops_NB,
        found.peaks_NP,
        found.masses_NP,
        found.above_NP,
        logits_NV.stride(0),
        0 if temperature_N is None else temperature_N.stride(0),
        size,
        found.tops_NB.shape[1],
        tiles,
        block,
        TILE // block,
        mass,
        temperature_N is not None,
        chosen_N is not None,
        num_warps=WARPS,
    )
    return found
