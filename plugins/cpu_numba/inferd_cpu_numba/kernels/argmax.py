"""The largest of a row's logits and where it is: the first among equals, and NaN before all.

Blocks of a row are reduced in registers; only the block that has the largest is searched for it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from inferd_cpu_numba.kernels import tile
from inferd_cpu_numba.kernels.memory import get_f32, get_i64, set_f32, set_i64
from inferd_cpu_numba.kernels.numbers import element
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, Body, take
from inferd_cpu_numba.kernels.vectors import LANES

LOGITS, STRIDE, COUNT, SIZE, BEST, IDS, SCRATCH = range(FIRST, FIRST + 7)
ARGMAX = "7q"
ROWS = 4  # vectors that are compared at a time
STEP, BLOCK = ROWS * LANES, 8 * ROWS * LANES


@njit(inline="always")
def largest_of(address, scratch, bits):
    """Of a block; NaN where it has one."""
    top = tile.load(ROWS, 1, address, LANES, bits)
    strange = tile.is_nan(top)
    for at in range(STEP, BLOCK, STEP):
        others = tile.load(ROWS, 1, address + at * (bits // 8), LANES, bits)
        top, strange = tile.largest(top, others), tile.add(strange, tile.is_nan(others))
    tile.row_sums(strange, scratch)
    strangers = np.float32(0.0)
    for row in range(ROWS):
        strangers += get_f32(scratch, row)
    if strangers > 0:
        return np.float32(np.nan)
    tile.row_maxima(top, scratch)
    found = get_f32(scratch, 0)
    for row in range(1, ROWS):
        found = max(found, get_f32(scratch, row))
    return found


@njit(inline="always")
def search(logits, start, end, bits):
    """(largest, place) from `start` to `end`."""
    best, place = element(logits, start, bits), start
    for at in range(start + 1, end):
        value = element(logits, at, bits)
        if value > best or (np.isnan(value) and not np.isnan(best)):
            best, place = value, at
    return best, place


@njit(inline="always")
def argmax_row(row, a, bits):
    logits = get_i64(a, LOGITS) + row * get_i64(a, STRIDE) * (bits // 8)
    size, scratch = get_i64(a, SIZE), get_i64(a, SCRATCH) + row * ROWS * 4
    best, first = np.float32(-np.inf), 0
    for start in range(0, size // BLOCK * BLOCK, BLOCK):
        found = largest_of(logits + start * (bits // 8), scratch, bits)
        if found > best or np.isnan(found):
            best, first = found, start
            if np.isnan(found):
                break
    best, place = search(logits, first, min(first + BLOCK, size), bits)
    if size % BLOCK and not np.isnan(best):
        last, at = search(logits, size // BLOCK * BLOCK, size, bits)
        if last > best or np.isnan(last):
            best, place = last, at
    set_f32(get_i64(a, BEST), row, best)
    set_i64(get_i64(a, IDS), row, place)


def make_argmax(bits: int) -> Body:
    def argmax(a):
        while True:
            row = take(a + ITEM)
            if row >= get_i64(a, COUNT):
                return
            argmax_row(row, a, bits)

    return argmax
