"""What an item of attention leaves: results of its tokens, or parts that others are merged with.

M rows of a tile, V size of a value.
"""

from __future__ import annotations

from numba import njit

from inferd_cpu_numba.kernels import fields, tile
from inferd_cpu_numba.kernels.arguments import OUT, PARTS
from inferd_cpu_numba.kernels.items import PART, QUERIES, TOKEN
from inferd_cpu_numba.kernels.memory import get_i64
from inferd_cpu_numba.kernels.vectors import LANES


@njit(inline="always")
def write(item, head, sums, weights, a, shape):
    """Divided by their weights, to the item's tokens."""
    bits, heads = shape[fields.BITS], shape[fields.HEADS]
    per_head, value = shape[fields.PER_HEAD], shape[fields.VALUE]
    tile.store_vector(tile.inverse(tile.load_vector(weights)), weights)
    for query in range(get_i64(item, QUERIES)):
        token = get_i64(item, TOKEN) + query
        out = get_i64(a, OUT) + (token * heads + head) * per_head * value * (bits // 8)
        row = query * per_head
        for e in range(0, value, LANES):
            part = tile.load(per_head, 1, sums + (row * value + e) * 4, value, 32)
            part = tile.scale_rows(part, weights + row * 4)
            tile.store(part, out + e * (bits // 8), value, bits)


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
