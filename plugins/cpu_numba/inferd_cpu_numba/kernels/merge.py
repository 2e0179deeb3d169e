"""Decoding rows whose keys were dealt to several items, into one result each.

What an item left for a head: largest scores, weights, sums [M, E]; M query heads of a KV head, E
head size. Items of a token follow each other.
"""

from __future__ import annotations

from numba import njit

from inferd_cpu_numba.kernels import tile
from inferd_cpu_numba.kernels.chunk import HIDDEN
from inferd_cpu_numba.kernels.items import ITEM_FIELDS, PART, TOKEN
from inferd_cpu_numba.kernels.memory import get_i64
from inferd_cpu_numba.kernels.parallel import FIRST, Body
from inferd_cpu_numba.kernels.shape import Shape
from inferd_cpu_numba.kernels.vectors import LANES

OUT, ITEMS, COUNT, PARTS = range(FIRST, FIRST + 4)
MERGE = "4q"


@njit(inline="always")
def weigh(parts, num, step):
    """A part's largest scores give way to its share of the result."""
    top, total = tile.filled(HIDDEN), tile.zeros(1, 1)
    for part in range(parts, parts + num * step, step):
        top = tile.largest(top, tile.load_vector(part))
    for part in range(parts, parts + num * step, step):
        share = tile.exp2(tile.subtract(tile.load_vector(part), top))
        total = tile.add(total, tile.multiply(share, tile.load_vector(part + LANES * 4)))
        tile.store_vector(share, part)
    inverse = tile.inverse(total)
    for part in range(parts, parts + num * step, step):
        tile.store_vector(tile.multiply(tile.load_vector(part), inverse), part)


@njit(inline="always")
def sum_parts(out, parts, num, step, shape):
    bits, _, per_head, size, _, _, _, _ = shape
    for e in range(0, size, LANES):
        total = tile.zeros(per_head, 1)
        for part in range(parts, parts + num * step, step):
            sums = tile.load(per_head, 1, part + (2 * LANES + e) * 4, size, 32)
            total = tile.add(total, tile.scale_rows(sums, part))
        tile.store(total, out + e * (bits // 8), size, bits)


def make_merge(shape: Shape) -> Body:
    """For the Shape of decodes, on one thread: COUNT is items times KV heads, as for attend."""
    bits, heads, per_head, size, block, rows, width, pairs = shape
    floats = shape.part_floats

    def merge(a):
        constants = (bits, heads, per_head, size, block, rows, width, pairs)
        first, count, step = 0, get_i64(a, COUNT) // heads, heads * floats * 4
        while first < count:
            item = get_i64(a, ITEMS) + first * ITEM_FIELDS * 8
            token, num = get_i64(item, TOKEN), 1
            while first + num < count and get_i64(item, num * ITEM_FIELDS + TOKEN) == token:
                num += 1
            for head in range(heads):
                parts = get_i64(a, PARTS) + get_i64(item, PART) * step + head * floats * 4
                out = (token * heads + head) * per_head * size * (bits // 8)
                weigh(parts, num, step)
                sum_parts(get_i64(a, OUT) + out, parts, num, step, constants)
            first += num

    return merge
