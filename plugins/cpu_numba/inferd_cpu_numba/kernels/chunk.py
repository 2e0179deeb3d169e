"""Keys of one chunk for one tile of queries: scores, softmax, weighted sums.

`shape` is a shape.Shape as a tuple. Scores are [M, CHUNK] and become weights in place, sums are
[M, V], each statistic is one vector of M numbers; M rows of a tile, V size of a value.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from inferd_cpu_numba.kernels import fields, tile
from inferd_cpu_numba.kernels.items import END, POSITION
from inferd_cpu_numba.kernels.memory import get_i32, get_i64, set_f32
from inferd_cpu_numba.kernels.pairs import add_woven
from inferd_cpu_numba.kernels.shape import CHUNK
from inferd_cpu_numba.kernels.vectors import LANES

HIDDEN = np.float32(-1e30)
NARROW = 2 * CHUNK  # from a row of weights to the next, where they are bfloat16


@njit(inline="always")
def page_at(page, step, head, shape):
    """Where a page of a head begins, in bytes from the start of the cache; pages are `step`
    apart."""
    copies, size = 2 - shape[fields.LATENT], shape[fields.SIZE] * (shape[fields.BITS] // 8)
    return page * step + head // shape[fields.SPLIT] * copies * shape[fields.BLOCK] * size


@njit(inline="always")
def score_page(scores, queries, scale, keys, later, values, shape):
    """Of one page; its values are fetched meanwhile, and the keys of a later one."""
    bits, size, block = shape[fields.BITS], shape[fields.SIZE], shape[fields.BLOCK]
    rows, pairs = shape[fields.ROWS], shape[fields.PAIRS]
    step, sizes = block * (bits // 8), 1 + pairs  # of a head that a product takes at a time
    for group in range(0, block, LANES):
        at = group * (bits // 8)
        even, odd = tile.zeros(rows, 1), tile.zeros(rows, 1)
        for e in range(0, size, 2 * sizes):
            for ahead in range(at, at + 2 * sizes * step, step):
                tile.prefetch(later + ahead)
                tile.prefetch(values + ahead)
            q, key = queries + e * rows * 4 // sizes, keys + at
            if pairs:
                even = add_woven(even, q, 4, key, key + step)
                odd = add_woven(odd, q + rows * 4, 4, key + 2 * step, key + 3 * step)
            else:
                even = tile.add_product(even, q, 1, key, bits)
                odd = tile.add_product(odd, q + rows * 4, 1, key + step, bits)
            at += 2 * sizes * step
        tile.store(tile.scale(tile.add(even, odd), scale), scores + group * 4, CHUNK, 32)


@njit(inline="always")
def hide(scores, item, first, end, window, shape):
    """Scores of keys first to end that a query may not see: later ones, or before its window."""
    per_head, rows = shape[fields.PER_HEAD], shape[fields.ROWS]
    for row in range(rows):
        seen_end = get_i64(item, POSITION) + row // per_head + 1
        seen_first = seen_end - window if window > 0 else first
        for key in range(first, min(seen_first, end)):
            set_f32(scores, row * CHUNK + key - first, HIDDEN)
        for key in range(max(min(seen_end, get_i64(item, END)), first), end):
            set_f32(scores, row * CHUNK + key - first, HIDDEN)


@njit(inline="always")
def soften(scores, num, largest, weights, factors, shape):
    """Scores to weights, in base 2; `factors`: what the sums so far are worth beside them.

    Weights that are multiplied in pairs are bfloat16: a row of them begins where its scores did.
    """
    rows, pairs = shape[fields.ROWS], shape[fields.PAIRS]
    top = tile.load(rows, 1, scores, CHUNK, 32)
    for at in range(LANES, num, LANES):
        top = tile.largest(top, tile.load(rows, 1, scores + at * 4, CHUNK, 32))
    tile.row_maxima(top, factors)
    before = tile.load_vector(largest)
    after = tile.largest(before, tile.load_vector(factors))
    tile.store_vector(after, largest)
    total = tile.zeros(rows, 1)
    for at in range(0, num, LANES):
        part = tile.exp2_less(tile.load(rows, 1, scores + at * 4, CHUNK, 32), largest)
        total = tile.add(total, part)
        if pairs:
            tile.store(part, scores + at * 2, NARROW, 16)
        else:
            tile.store(part, scores + at * 4, CHUNK, 32)
    tile.row_sums(total, factors)
    kept = tile.exp2(tile.subtract(before, after))
    earlier = tile.multiply(tile.load_vector(weights), kept)
    tile.store_vector(tile.add(earlier, tile.load_vector(factors)), weights)
    tile.store_vector(kept, factors)


@njit(inline="always")
def sum_values(sums, scores, factors, v, table, step, head, first, end, shape):
    """sums * factors + weights * values of keys first to end, some vectors of a value at a time.

    A slot's value begins `size` elements after that of the slot before.
    """
    bits, size, block = shape[fields.BITS], shape[fields.SIZE], shape[fields.BLOCK]
    value, rows, width = shape[fields.VALUE], shape[fields.ROWS], shape[fields.WIDTH]
    for column in range(0, value, width * LANES):
        total = tile.load(rows, width, sums + column * 4, value, 32)
        total = tile.scale_rows(total, factors)
        for page in range(first // block, (end + block - 1) // block):
            at = v + page_at(get_i32(table, page), step, head, shape) + column * (bits // 8)
            place, num = page * block - first, min(block, end - page * block)
            if shape[fields.PAIRS]:
                total = _sum_pairs(total, scores + place * 2, at, num, size * 2)
            else:
                for slot in range(num):
                    weight = scores + (place + slot) * 4
                    row = at + slot * size * (bits // 8)
                    total = tile.add_product(total, weight, CHUNK, row, bits)
        tile.store(total, sums + column * 4, value, 32)


@njit(inline="always")
def _sum_pairs(total, weights, values, num, step):
    """Of one page; beside a last slot that is alone stands itself, where its weight is nothing."""
    for slot in range(0, num, 2):
        row = values + slot * step
        other = row + step if slot + 1 < num else row
        total = add_woven(total, weights + slot * 2, NARROW * 2, row, other)
    return total
