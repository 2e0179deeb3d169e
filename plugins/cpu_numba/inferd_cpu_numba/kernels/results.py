"""What an item of attention leaves: results of its tokens, or parts that others are merged with.

M rows of a tile, V size of a value.
"""

from __future__ import annotations

from numba import njit

from inferd_cpu_numba.kernels import fields, tile
from inferd_cpu_numba.kernels.arguments import OUT, PARTS
from inferd_cpu_numba.kernels.heads import is_last, out_of
from inferd_cpu_numba.kernels.items import PART, QUERIES, TOKEN
from inferd_cpu_numba.kernels.memory import get_i64
from inferd_cpu_numba.kernels.vectors import LANES


@njit(inline="always")
def divide(num, sums, weights, out, shape):
    """Of so many heads, by weights that are inverse already."""
    bits, value = shape[fields.BITS], shape[fields.VALUE]
    for e in range(0, value, LANES):
        part = tile.scale_rows(tile.load(num, 1, sums + e * 4, value, 32), weights)
        tile.store(part, out + e * (bits // 8), value, bits)


@njit(inline="always")
def write(item, head, sums, weights, a, shape):
    """Divided by their weights, to the item's tokens."""
    per_head, last = shape[fields.PER_HEAD], shape[fields.LAST]
    tile.store_vector(tile.inverse(tile.load_vector(weights)), weights)
    for query in range(get_i64(item, QUERIES)):
        out = get_i64(a, OUT) + out_of(get_i64(item, TOKEN) + query, head, shape)
        row = query * per_head
        of_row, weight = sums + row * shape[fields.VALUE] * 4, weights + row * 4
        if is_last(head, shape):
            divide(last, of_row, weight, out, shape)
        else:
            divide(per_head, of_row, weight, out, shape)


@njit(inline="always")
def leave(item, head, sums, largest, weights, a, shape):
    """Undivided, for merge.py."""
    heads, per_head, value = shape[fields.HEADS], shape[fields.PER_HEAD], shape[fields.VALUE]
    for query in range(get_i64(item, QUERIES)):
        part, row = (get_i64(item, PART) + query) * heads + head, query * per_head
        part = get_i64(a, PARTS) + part * (2 * LANES + per_head * value) * 4
        tile.store_vector(tile.load_vector(largest + row * 4), part)
        tile.store_vector(tile.load_vector(weights + row * 4), part + LANES * 4)
        for at in range(0, per_head * value, LANES):
            own = tile.load_vector(sums + (row * value + at) * 4)
            tile.store_vector(own, part + (2 * LANES + at) * 4)


@njit(inline="always")
def end_item(item, head, scratch, a, shape):
    _, _, _, largest, weights, _, _, sums = scratch
    if get_i64(item, PART) < 0:
        write(item, head, sums, weights, a, shape)
    else:
        leave(item, head, sums, largest, weights, a, shape)
