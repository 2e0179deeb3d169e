"""x times a weight in bfloat16, on CPUs with AVX-512.

One row by a weight takes as long as the weight takes to be read, so it is stored in 12 bits a
number, and nothing is lost: a matrix's exponents are alike. It is packed in panels of 32 outputs,
and a panel in lines, two inputs of each output (`lines.py`). Where a number of a line has another
exponent than the weight's eight pairs of them, the line is kept in bfloat16 beside the panels.

Few rows are multiplied by lines as they are unpacked, many by a panel that is written out first
(`panels.py`). Items are panels, for one block of rows after the other: a block of x stays in L2.
"""

from __future__ import annotations

from numba import njit

from inferd_cpu_numba.kernels import tile
from inferd_cpu_numba.kernels.lines import add_line, write_line
from inferd_cpu_numba.kernels.memory import get_i32, get_i64
from inferd_cpu_numba.kernels.pairs import add_packed, write_packed
from inferd_cpu_numba.kernels.panels import (
    COLUMNS,
    FEWER,
    LINE,
    MANY,
    PANEL,
    ROWS,
    SOME,
    TWO,
    begin_tile,
    end_tile,
    last_tile,
    many_rows,
    target_of,
    widen_block,
)
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, THREAD, Body, take

TWO_LINES = 3 * LINE  # of a panel: the lower bytes of each, then the fields of both
# X_STRIDE: bytes of a row; BLOCK: rows; TABLE: upper bytes by field; FIRSTS, PLACES, KEPT: of each
# panel the first of its lines that are kept, then for each of those its number and itself, and a
# number that is none after a panel's last; ROOM: of each thread, ROOM_BYTES for a panel that is
# written out and, after that, for a block of x in float32
X, X_STRIDE, WEIGHT, BIAS, OUT, TABLE, FIRSTS, PLACES, KEPT, ROOM = range(FIRST, FIRST + 10)
ROOM_BYTES, COUNT, OUTPUTS, INPUTS, BLOCK = range(FIRST + 10, FIRST + 15)
LINEAR = "15q"


@njit(inline="always")
def kept_lines(panel, a):
    """Numbers and contents of a panel's lines in bfloat16."""
    first = get_i64(get_i64(a, FIRSTS), panel)
    return get_i64(a, PLACES) + first * 4, get_i64(a, KEPT) + first * PANEL * 4


@njit(inline="always")
def add_lines(sums, x, stride, panel, ahead, a, size):
    """sums[r] + row r times a panel; what lies `ahead` bytes on is fetched meanwhile.

    Here and below, `size` is the bytes of an input.
    """
    lines, table = get_i64(a, INPUTS) // 2, get_i64(a, TABLE)
    at = get_i64(a, WEIGHT) + panel * (lines // 2) * TWO_LINES
    places, kept = kept_lines(panel, a)
    following = get_i32(places, 0)
    for line in range(0, lines, 2):
        for fetched in range(at + ahead, at + ahead + TWO_LINES, LINE):
            tile.prefetch(fetched)
        for odd in range(2):
            if line + odd == following:
                sums = add_packed(sums, x, stride, kept, size)
                places, kept = places + 4, kept + PANEL * 4
                following = get_i32(places, 0)
            else:
                high = at + 2 * LINE + odd * (LINE // 2)
                sums = add_line(sums, x, stride, at + odd * LINE, high, table, size)
            x += 2 * size
        at += TWO_LINES
    return sums


@njit(inline="always")
def write_panel(room, panel, a, size):
    """As numbers of `size` bytes."""
    lines, table = get_i64(a, INPUTS) // 2, get_i64(a, TABLE)
    at, step = get_i64(a, WEIGHT) + panel * (lines // 2) * TWO_LINES, 2 * PANEL * size
    for line in range(0, lines, 2):
        for odd in range(2):
            out, high = room + (line + odd) * step, at + 2 * LINE + odd * (LINE // 2)
            write_line(out, at + odd * LINE, high, table, size)
        at += TWO_LINES
    places, kept = kept_lines(panel, a)
    while get_i32(places, 0) < lines:
        write_packed(room + get_i32(places, 0) * step, kept, COLUMNS, size)
        places, kept = places + 4, kept + PANEL * 4


@njit(inline="always")
def multiply(rows, row, panel, ahead, x, stride, target, a, size):
    """A tile of `rows` from `row` on. Row r is at `x` + r * stride, in bytes."""
    sums = begin_tile(rows, target)
    sums = add_lines(sums, x + row * stride, stride, panel, ahead, a, size)
    end_tile(sums, row, target)


@njit(inline="always")
def few_rows(first, end, panel, ahead, x, stride, target, a, size):
    row = first
    while row + ROWS <= end and row + ROWS + FEWER != end:
        multiply(ROWS, row, panel, ahead, x, stride, target, a, size)
        row, ahead = row + ROWS, 0
    while row + SOME <= end:
        multiply(SOME, row, panel, ahead, x, stride, target, a, size)
        row, ahead = row + SOME, 0
    while row < end:
        row = last_tile(first, row, end)
        if row + FEWER <= end:
            multiply(FEWER, row, panel, ahead, x, stride, target, a, size)
            row, ahead = row + FEWER, 0
        elif row + TWO <= end:
            multiply(TWO, row, panel, ahead, x, stride, target, a, size)
            row, ahead = row + TWO, 0
        else:
            multiply(1, row, panel, ahead, x, stride, target, a, size)
            row, ahead = row + 1, 0


def make_linear(size: int) -> Body:
    """Of a contiguous result [COUNT, OUTPUTS]; inputs of `size` bytes are multiplied."""

    def linear(a):
        inputs, outputs, block = get_i64(a, INPUTS), get_i64(a, OUTPUTS), get_i64(a, BLOCK)
        panels = (outputs + PANEL - 1) // PANEL
        items = (get_i64(a, COUNT) + block - 1) // block * panels
        panel_bytes = inputs // 4 * TWO_LINES
        room = get_i64(a, ROOM) + take(a + THREAD) * get_i64(a, ROOM_BYTES)
        x, stride, widened = get_i64(a, X), get_i64(a, X_STRIDE), -1
        item = take(a + ITEM)
        while item < items:
            following = take(a + ITEM)  # known early, so that its weights can be fetched
            row, panel = item // panels * block, item % panels
            end, later = min(row + block, get_i64(a, COUNT)), min(following, items - 1) % panels
            target = target_of(get_i64(a, BIAS), get_i64(a, OUT), outputs, panel)
            if size == 4 and row != widened:
                wide = room + inputs * PANEL * size  # beside a panel
                x = widen_block(wide, get_i64(a, X), get_i64(a, X_STRIDE), row, end, inputs)
                stride, widened = inputs * size, row
            if end - row >= MANY:
                write_panel(room, panel, a, size)
                fetched, step = get_i64(a, WEIGHT) + later * panel_bytes, TWO_LINES // 2
                many_rows(row, end, x, stride, room, fetched, step, target, inputs, size)
            else:
                ahead = (later - panel) * panel_bytes
                few_rows(row, end, panel, ahead, x, stride, target, a, size)
            item = following

    return linear
