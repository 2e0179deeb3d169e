"""Attention of some queries over a row's pages: decoding and prompts alike.

The queries of an item and the query heads of one KV head are the rows of a tile, so that a key is
read once for all of them. A page holds [B, G, 2]: a head's keys as [E, S], then its values as
[S, E]. Sixteen slots of keys are one vector, and scores are a sum of columns times rows; so is the
weighted sum of values. A page of latents is [B, S, E]; it is turned before it is scored. Keys go by
chunks, with a softmax that is corrected when larger scores appear.

G KV heads, E head size, B blocks, S slots per block, M rows of a tile.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from inferd_cpu_numba.kernels import fields, tile
from inferd_cpu_numba.kernels.bent import bend, lean
from inferd_cpu_numba.kernels.chunk import HIDDEN, hide, page_at, score_page, soften, sum_values
from inferd_cpu_numba.kernels.items import (
    END,
    ITEM_FIELDS,
    PART,
    POSITION,
    QUERIES,
    ROW,
    START,
    TOKEN,
)
from inferd_cpu_numba.kernels.memory import get_f32, get_f64, get_i32, get_i64, set_f32
from inferd_cpu_numba.kernels.numbers import LOG2_E, element
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, THREAD, Body, take
from inferd_cpu_numba.kernels.shape import CHUNK, Shape
from inferd_cpu_numba.kernels.turned import turn_page
from inferd_cpu_numba.kernels.vectors import LANES

AHEAD = 2  # pages that keys are fetched before they are needed
# Places of the arguments. Q_STRIDE: elements of a token; WIDTH: pages of a row of the table. SCALE
# and CAP make base 2 of scores; with a CAP they are scaled for bent.capped.
Q, K, V, OUT, Q_STRIDE, SCALE, CAP, SLOPES, ITEMS, COUNT = range(FIRST, FIRST + 10)
TABLES, WIDTH, WINDOW, SCRATCH, PARTS = range(FIRST + 10, FIRST + 15)
ATTEND = "5q2d8q"


@njit(inline="always")
def load_queries(queries, item, head, a, shape):
    """As [E, M], or [E / 2, M, 2] in bfloat16; zero where the item has fewer than the tile."""
    bits, per_head, size = shape[fields.BITS], shape[fields.PER_HEAD], shape[fields.SIZE]
    rows, pairs = shape[fields.ROWS], shape[fields.PAIRS]
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
def load_slopes(slopes, head, a, shape):
    """Of the query heads of an item, one for each row."""
    per_head = shape[fields.PER_HEAD]
    for row in range(shape[fields.ROWS]):
        slope = get_f32(get_i64(a, SLOPES), head * per_head + row % per_head)
        set_f32(slopes, row, slope * LOG2_E)


@njit(inline="always")
def attend_chunk(begin, item, head, scratch, a, shape):
    """The keys of an item from `begin` on, up to a chunk of them."""
    block, latent = shape[fields.BLOCK], shape[fields.LATENT]
    turned, queries, scores, largest, weights, factors, slopes, sums = scratch
    scale, v = np.float32(get_f64(a, SCALE)), get_i64(a, V)
    table = get_i64(a, TABLES) + get_i64(item, ROW) * get_i64(a, WIDTH) * 4
    end = min(begin + CHUNK, get_i64(item, END))
    first, pages = begin // block, (end + block - 1) // block
    last, num = (get_i64(item, END) - 1) // block, pages * block - begin
    for p in range(first, pages):
        at = page_at(get_i32(table, p), head, shape)
        later = page_at(get_i32(table, min(p + AHEAD, last)), head, shape)
        keys, where = get_i64(a, K), scores + (p - first) * block * 4
        if latent:
            turn_page(turned, keys + at, shape)
        page = turned if latent else keys + at
        score_page(where, queries, scale, page, keys + later, v + at, shape)
    if shape[fields.CAPPED]:
        bend(scores, num, np.float32(get_f64(a, CAP)), shape)
    if shape[fields.SLOPED]:
        lean(scores, num, slopes, begin - get_i64(item, POSITION), shape)
    hide(scores, item, begin, pages * block, get_i64(a, WINDOW), shape)
    soften(scores, num, largest, weights, factors, shape)
    sum_values(sums, scores, factors, v, table, head, begin, end, shape)


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
def attend_item(number, scratch, a, shape):
    heads = shape[fields.HEADS]
    _, queries, _, largest, weights, _, slopes, sums = scratch
    head, item = number % heads, get_i64(a, ITEMS) + number // heads * ITEM_FIELDS * 8
    load_queries(queries, item, head, a, shape)
    if shape[fields.SLOPED]:
        load_slopes(slopes, head, a, shape)
    tile.store_vector(tile.filled(HIDDEN), largest)
    tile.store_vector(tile.zeros(1, 1), weights)
    for at in range(0, shape[fields.ROWS] * shape[fields.VALUE], LANES):
        tile.store_vector(tile.zeros(1, 1), sums + at * 4)
    for begin in range(get_i64(item, START), get_i64(item, END), CHUNK):
        attend_chunk(begin, item, head, scratch, a, shape)
    if get_i64(item, PART) < 0:
        write(item, head, sums, weights, a, shape)
    else:
        leave(item, head, sums, largest, weights, a, shape)


def make_attend(shape: Shape) -> Body:
    """The body for a Shape. Items are counted times heads."""
    bits, heads, per_head, split, size, value, block, rows, width, pairs = shape[:10]
    capped, sloped, latent = shape[10:]
    floats, turned_floats = shape.scratch_floats, shape.turned_floats

    def attend(a):
        constants = (
            bits, heads, per_head, split, size, value, block, rows, width, pairs, capped, sloped,
            latent,
        )  # fmt: skip
        turned = get_i64(a, SCRATCH) + take(a + THREAD) * floats * 4
        queries = turned + turned_floats * 4
        scores = queries + rows * size * 4
        largest = scores + rows * CHUNK * 4
        weights, factors = largest + LANES * 4, largest + 2 * LANES * 4
        slopes, sums = largest + 3 * LANES * 4, largest + 4 * LANES * 4
        scratch = (turned, queries, scores, largest, weights, factors, slopes, sums)
        while True:
            number = take(a + ITEM)
            if number >= get_i64(a, COUNT):
                return
            attend_item(number, scratch, a, constants)

    return attend
