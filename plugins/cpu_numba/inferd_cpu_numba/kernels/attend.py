"""Attention of some queries over a row's pages: decoding and prompts alike.

The queries of an item and the query heads of one KV head are the rows of a tile, so that a key is
read once for all of them. A page holds [B, G, 2]: a head's keys as [E, S], then its values as
[S, E]. Sixteen slots of keys are one vector, and scores are a sum of columns times rows; so is the
weighted sum of values. Keys go by chunks, with a softmax that is corrected when larger scores
appear.

G KV heads, E head size, B blocks, S slots per block, M rows of a tile.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from inferd_cpu_numba.kernels import tile
from inferd_cpu_numba.kernels.chunk import HIDDEN, hide, score_page, soften, sum_values
from inferd_cpu_numba.kernels.items import END, ITEM_FIELDS, PART, QUERIES, ROW, START, TOKEN
from inferd_cpu_numba.kernels.memory import get_f32, get_f64, get_i32, get_i64, set_f32
from inferd_cpu_numba.kernels.numbers import element
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, THREAD, Body, take
from inferd_cpu_numba.kernels.shape import CHUNK, Shape
from inferd_cpu_numba.kernels.vectors import LANES

AHEAD = 2  # pages that keys are fetched before they are needed
# Places of the arguments. Q_STRIDE: elements of a token; WIDTH: pages of a row of the table.
Q, K, V, OUT, Q_STRIDE, SCALE, ITEMS, COUNT = range(FIRST, FIRST + 8)
TABLES, WIDTH, WINDOW, SCRATCH, PARTS = range(FIRST + 8, FIRST + 13)
ATTEND = "5qd7q"


@njit(inline="always")
def load_queries(queries, item, head, a, shape):
    """As [E, M], or [E / 2, M, 2] in bfloat16; zero where the item has fewer than the tile."""
    bits, _, per_head, size, _, rows, _, pairs = shape
    numbers = 1 + pairs  # that go together: two of bfloat16 are moved as if they were a float32
    stride = get_i64(a, Q_STRIDE)
    start = get_i64(item, TOKEN) * stride + head * per_head * size
    for row in range(rows):
        query = row // per_head
        at = get_i64(a, Q) + (start + query * stride + row % per_head * size) * (bits // 8)
        for place in range(size // numbers):
            value = np.float32(0.0)
            if query < get_i64(item, QUERIES):
                value = get_f32(at, place) if pairs else element(at, place, bits)
            set_f32(queries, place * rows + row, value)


@njit(inline="always")
def attend_chunk(begin, item, head, scratch, a, shape):
    """The keys of an item from `begin` on, up to a chunk of them."""
    bits, heads, _, size, block, _, _, _ = shape
    queries, scores, largest, weights, factors, sums = scratch
    scale = np.float32(get_f64(a, SCALE))
    table = get_i64(a, TABLES) + get_i64(item, ROW) * get_i64(a, WIDTH) * 4
    end = min(begin + CHUNK, get_i64(item, END))
    first, pages = begin // block, (end + block - 1) // block
    last, page = (get_i64(item, END) - 1) // block, 2 * block * size * (bits // 8)
    for p in range(first, pages):
        at = (get_i32(table, p) * heads + head) * page
        later = (get_i32(table, min(p + AHEAD, last)) * heads + head) * page
        keys, where = get_i64(a, K), scores + (p - first) * block * 4
        score_page(where, queries, scale, keys + at, keys + later, get_i64(a, V) + at, shape)
    hide(scores, item, begin, pages * block, get_i64(a, WINDOW), shape)
    soften(scores, pages * block - begin, largest, weights, factors, shape)
    sum_values(sums, scores, factors, get_i64(a, V), table, head, begin, end, shape)


@njit(inline="always")
def write(item, head, sums, weights, a, shape):
    """Divided by their weights, to the item's tokens."""
    bits, heads, per_head, size, _, _, _, _ = shape
    tile.store_vector(tile.inverse(tile.load_vector(weights)), weights)
    for query in range(get_i64(item, QUERIES)):
        token = get_i64(item, TOKEN) + query
        out = get_i64(a, OUT) + (token * heads + head) * per_head * size * (bits // 8)
        row = query * per_head
        for e in range(0, size, LANES):
            part = tile.load(per_head, 1, sums + (row * size + e) * 4, size, 32)
            part = tile.scale_rows(part, weights + row * 4)
            tile.store(part, out + e * (bits // 8), size, bits)


@njit(inline="always")
def leave(item, head, sums, largest, weights, a, shape):
    """Undivided, for merge.py."""
    _, heads, per_head, size, _, _, _, _ = shape
    for query in range(get_i64(item, QUERIES)):
        part, row = (get_i64(item, PART) + query) * heads + head, query * per_head
        part = get_i64(a, PARTS) + part * (2 * LANES + per_head * size) * 4
        tile.store_vector(tile.load_vector(largest + row * 4), part)
        tile.store_vector(tile.load_vector(weights + row * 4), part + LANES * 4)
        for at in range(0, per_head * size, LANES):
            own = tile.load_vector(sums + (row * size + at) * 4)
            tile.store_vector(own, part + (2 * LANES + at) * 4)


@njit(inline="always")
def attend_item(number, scratch, a, shape):
    _, heads, _, size, _, rows, _, _ = shape
    queries, _, largest, weights, _, sums = scratch
    head, item = number % heads, get_i64(a, ITEMS) + number // heads * ITEM_FIELDS * 8
    load_queries(queries, item, head, a, shape)
    tile.store_vector(tile.filled(HIDDEN), largest)
    tile.store_vector(tile.zeros(1, 1), weights)
    for at in range(0, rows * size, LANES):
        tile.store_vector(tile.zeros(1, 1), sums + at * 4)
    for begin in range(get_i64(item, START), get_i64(item, END), CHUNK):
        attend_chunk(begin, item, head, scratch, a, shape)
    if get_i64(item, PART) < 0:
        write(item, head, sums, weights, a, shape)
    else:
        leave(item, head, sums, largest, weights, a, shape)


def make_attend(shape: Shape) -> Body:
    """The body for a Shape. Items are counted times KV heads."""
    bits, heads, per_head, size, block, rows, width, pairs = shape
    floats = shape.scratch_floats

    def attend(a):
        constants = (bits, heads, per_head, size, block, rows, width, pairs)
        queries = get_i64(a, SCRATCH) + take(a + THREAD) * floats * 4
        scores = queries + rows * size * 4
        largest = scores + rows * CHUNK * 4
        weights, factors = largest + LANES * 4, largest + 2 * LANES * 4
        scratch = (queries, scores, largest, weights, factors, factors + LANES * 4)
        while True:
            number = take(a + ITEM)
            if number >= get_i64(a, COUNT):
                return
            attend_item(number, scratch, a, constants)

    return attend
