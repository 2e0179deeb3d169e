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
from inferd_cpu_numba.kernels.arguments import (
    CAP,
    COUNT,
    ITEMS,
    PAGE,
    Q_STRIDE,
    SCALE,
    SCRATCH,
    SINKS,
    SLOPES,
    TABLES,
    WIDTH,
    WINDOW,
    K,
    Q,
    V,
)
from inferd_cpu_numba.kernels.bent import bend, lean
from inferd_cpu_numba.kernels.chunk import HIDDEN, hide, page_at, score_page, soften, sum_values
from inferd_cpu_numba.kernels.heads import first_of, num_of
from inferd_cpu_numba.kernels.items import (
    END,
    ITEM_FIELDS,
    POSITION,
    QUERIES,
    ROW,
    START,
    TOKEN,
)
from inferd_cpu_numba.kernels.memory import get_f32, get_f64, get_i32, get_i64, set_f32
from inferd_cpu_numba.kernels.numbers import LOG2_E, element
from inferd_cpu_numba.kernels.parallel import ITEM, THREAD, Body, take
from inferd_cpu_numba.kernels.results import end_item
from inferd_cpu_numba.kernels.shape import CHUNK, Shape
from inferd_cpu_numba.kernels.turned import turn_page
from inferd_cpu_numba.kernels.vectors import LANES

AHEAD = 2  # pages that keys are fetched before they are needed
TURNED, QUERY_TILE, SCORES = range(3)  # places in a thread's scratch


@njit(inline="always")
def load_queries(queries, item, head, a, shape):
    """As [E, M], or [E / 2, M, 2] in bfloat16; zero where the item has fewer than the tile."""
    bits, per_head, size = shape[fields.BITS], shape[fields.PER_HEAD], shape[fields.SIZE]
    rows, pairs = shape[fields.ROWS], shape[fields.PAIRS]
    numbers = 1 + pairs  # that go together: two of bfloat16 are moved as if they were a float32
    stride, num = get_i64(a, Q_STRIDE), num_of(head, shape)
    start = get_i64(item, TOKEN) * stride + first_of(head, shape) * size
    for row in range(rows):
        query, own = row // per_head, row % per_head
        at = get_i64(a, Q) + (start + query * stride + own * size) * (bits // 8)
        for place in range(size // numbers):
            value = np.float32(0.0)
            if query < get_i64(item, QUERIES) and own < num:
                value = get_f32(at, place) if pairs else element(at, place, bits)
            set_f32(queries, place * rows + row, value)


@njit(inline="always")
def load_slopes(slopes, head, a, shape):
    """Of the query heads of an item, one for each row."""
    first, most = first_of(head, shape), num_of(head, shape) - 1
    for row in range(shape[fields.ROWS]):
        place = first + min(row % shape[fields.PER_HEAD], most)
        set_f32(slopes, row, get_f32(get_i64(a, SLOPES), place) * LOG2_E)


@njit(inline="always")
def load_sinks(item, head, largest, weights, a, shape):
    """As if each query had met a key with this score and no value: in one of its row's items, that
    with the last key it may see."""
    if get_i64(item, END) != get_i64(item, POSITION) + get_i64(item, QUERIES):
        return
    first, most = first_of(head, shape), num_of(head, shape) - 1
    for row in range(shape[fields.ROWS]):
        place = first + min(row % shape[fields.PER_HEAD], most)
        set_f32(largest, row, get_f32(get_i64(a, SINKS), place) * LOG2_E)
        set_f32(weights, row, np.float32(1.0))


@njit(inline="always")
def begin_item(item, head, scratch, a, shape):
    _, queries, _, largest, weights, _, _, sums = scratch
    load_queries(queries, item, head, a, shape)
    tile.store_vector(tile.filled(HIDDEN), largest)
    tile.store_vector(tile.zeros(1, 1), weights)
    for at in range(0, shape[fields.ROWS] * shape[fields.VALUE], LANES):
        tile.store_vector(tile.zeros(1, 1), sums + at * 4)


@njit(inline="always")
def pages_of(begin, item, a, shape):
    """Of a chunk of keys: its row's table, first page, page after the last; the item's last."""
    block, end = shape[fields.BLOCK], get_i64(item, END)
    table = get_i64(a, TABLES) + get_i64(item, ROW) * get_i64(a, WIDTH) * 4
    pages = (min(begin + CHUNK, end) + block - 1) // block
    return table, begin // block, pages, (end - 1) // block


@njit(inline="always")
def score_chunk(begin, item, head, scratch, a, shape):
    """The keys of an item from `begin` on, up to a chunk of them."""
    table, first, pages, last = pages_of(begin, item, a, shape)
    keys, v, scale = get_i64(a, K), get_i64(a, V), np.float32(get_f64(a, SCALE))
    step = get_i64(a, PAGE)
    for p in range(first, pages):
        at = page_at(get_i32(table, p), step, head, shape)
        later = page_at(get_i32(table, min(p + AHEAD, last)), step, head, shape)
        where = scratch[SCORES] + (p - first) * shape[fields.BLOCK] * 4
        score_page(where, scratch[QUERY_TILE], scale, keys + at, keys + later, v + at, shape)


@njit(inline="always")
def score_latents(begin, item, head, scratch, a, shape):
    """As `score_chunk`, of keys whose pages have to be turned."""
    table, first, pages, last = pages_of(begin, item, a, shape)
    keys, scale, step = get_i64(a, K), np.float32(get_f64(a, SCALE)), get_i64(a, PAGE)
    for p in range(first, pages):
        at = keys + page_at(get_i32(table, p), step, head, shape)
        later = keys + page_at(get_i32(table, min(p + AHEAD, last)), step, head, shape)
        where = scratch[SCORES] + (p - first) * shape[fields.BLOCK] * 4
        turn_page(scratch[TURNED], at, shape)
        score_page(where, scratch[QUERY_TILE], scale, scratch[TURNED], later, at, shape)


@njit(inline="always")
def sum_chunk(begin, item, head, scratch, a, shape):
    """Scores of a chunk to weights, and those times the values to the sums."""
    _, _, scores, largest, weights, factors, _, sums = scratch
    table, _, pages, _ = pages_of(begin, item, a, shape)
    seen, end = pages * shape[fields.BLOCK], min(begin + CHUNK, get_i64(item, END))
    hide(scores, item, begin, seen, get_i64(a, WINDOW), shape)
    soften(scores, seen - begin, largest, weights, factors, shape)
    v, step = get_i64(a, V), get_i64(a, PAGE)
    sum_values(sums, scores, factors, v, table, step, head, begin, end, shape)


def make_attend(shape: Shape) -> Body:
    """The body for a Shape. Items are counted times heads.

    What scores do not need is left out here: numba drops the branches that these constants decide.
    """
    bits, heads, per_head, split, size, value, block, rows, width, pairs = shape[:10]
    capped, sloped, latent, sunk, shared, last = shape[10:]
    floats, turned_floats = shape.scratch_floats, shape.turned_floats

    def attend(a):
        constants = (
            bits, heads, per_head, split, size, value, block, rows, width, pairs, capped, sloped,
            latent, sunk, shared, last,
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
            if number >= get_i64(get_i64(a, COUNT), 0) * heads:
                return
            head, item = number % heads, get_i64(a, ITEMS) + number // heads * ITEM_FIELDS * 8
            begin_item(item, head, scratch, a, constants)
            if sunk:
                load_sinks(item, head, largest, weights, a, constants)
            if sloped:
                load_slopes(slopes, head, a, constants)
            for begin in range(get_i64(item, START), get_i64(item, END), CHUNK):
                if latent:
                    score_latents(begin, item, head, scratch, a, constants)
                else:
                    score_chunk(begin, item, head, scratch, a, constants)
                num = min(CHUNK, get_i64(item, END) - begin)
                if capped:
                    bend(scores, num, np.float32(get_f64(a, CAP)), constants)
                if sloped:
                    lean(scores, num, slopes, begin - get_i64(item, POSITION), constants)
                sum_chunk(begin, item, head, scratch, a, constants)
            end_item(item, head, scratch, a, constants)

    return attend
