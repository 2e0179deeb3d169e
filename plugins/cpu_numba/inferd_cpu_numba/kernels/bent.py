"""Scores of a chunk that are more than products: with a soft cap, or with slopes (ALiBi).

[M, CHUNK], M rows of a tile.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels import fields, tile, vectors
from inferd_cpu_numba.kernels.shape import CHUNK
from inferd_cpu_numba.kernels.tile import mapped
from inferd_cpu_numba.kernels.vectors import F32, LANES, VEC


@intrinsic
def capped(_, part, cap):
    """cap * tanh(x / 2) of cells that are x in base 2: cap - 2 cap / (1 + 2 ** cell)."""

    def build(context, b, signature, args):
        caps, one, most = vectors.splat(b, args[1]), *(vectors.constant(VEC, n) for n in (1, 126))
        twice = b.fadd(caps, caps)

        def cell(place, *_):
            x = vectors.smallest(b, b.extract_value(args[0], place), most)
            return b.fsub(caps, b.fdiv(twice, b.fadd(one, vectors.exp2(b, x))))

        return mapped(b, part, args[0], cell)

    return part(part, types.float32), build


@intrinsic
def sloped(_, part, slopes, first):
    """part[r] + slopes[r] * (first + lane)"""

    def build(context, b, signature, args):
        lanes = ir.Constant(VEC, [float(lane) for lane in range(LANES)])
        places = b.fadd(vectors.splat(b, args[2]), lanes)
        slope_of = [
            vectors.splat(b, b.load(vectors.pointer(b, args[1], F32, row)))
            for row in range(part.rows)
        ]

        def cell(place, row, _):
            return vectors.fma(b, slope_of[row], places, b.extract_value(args[0], place))

        return mapped(b, part, args[0], cell)

    return part(part, types.int64, types.float32), build


@njit(inline="always")
def bend(scores, num, cap, shape):
    """Scores, scaled for capped, under their soft cap."""
    rows = shape[fields.ROWS]
    for at in range(0, num, LANES):
        part = capped(tile.load(rows, 1, scores + at * 4, CHUNK, 32), cap)
        tile.store(part, scores + at * 4, CHUNK, 32)


@njit(inline="always")
def lean(scores, num, slopes, first, shape):
    """Scores get their slope times the distance of the key; `first` is that of the first key.

    All queries of an item get that of its first one: what all keys have in common changes nothing.
    """
    rows = shape[fields.ROWS]
    for at in range(0, num, LANES):
        part = tile.load(rows, 1, scores + at * 4, CHUNK, 32)
        part = sloped(part, slopes, np.float32(first + at))
        tile.store(part, scores + at * 4, CHUNK, 32)
