"""x times a weight in bfloat16, on CPUs with AVX-512.

One row by a weight takes as long as the weight takes to be read, so it is stored in 12 bits a
number, and nothing is lost: a matrix's exponents are alike. It is packed in panels of 32 outputs,
and a panel in lines, two inputs of each output (`lines.py`). Where a number of a line has another
exponent than the weight's eight pairs of them, the line is kept in bfloat16 beside the panels.

A tile is up to twelve rows of x times a panel, and its sums stay in registers over all inputs, in
the same order for any number of rows. For many rows a panel is written out first. Items are panels,
for one block of rows after the other: a block of x stays in L2. Where pairs are multiplied in
float32, panels are written out so, and each thread widens a block of x for itself.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels import tile, vectors
from inferd_cpu_numba.kernels.lines import add_line, write_line
from inferd_cpu_numba.kernels.memory import get_i32, get_i64, set_f32
from inferd_cpu_numba.kernels.numbers import element
from inferd_cpu_numba.kernels.pairs import add_packed, add_written, write_packed
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, THREAD, Body, take
from inferd_cpu_numba.kernels.vectors import I64, LANES

COLUMNS = 2  # vectors of a panel
PANEL = COLUMNS * LANES  # outputs
ROWS, SOME, FEWER, TWO = 12, 8, 4, 2  # of a tile; twice eight are faster than twelve and four
MANY = 24  # rows from which a panel is written out
LINE = 64  # bytes that memory is fetched in
TWO_LINES = 3 * LINE  # of a panel: the lower bytes of each, then the fields of both
# X_STRIDE: bytes of a row; BLOCK: rows; TABLE: upper bytes by field; FIRSTS, PLACES, KEPT: of each
# panel the first of its lines that are kept, then for each of those its number and itself, and a
# number that is none after a panel's last; ROOM: of each thread, ROOM_BYTES for a panel that is
# written out and, after that, for a block of x in float32
X, X_STRIDE, WEIGHT, BIAS, OUT, TABLE, FIRSTS, PLACES, KEPT, ROOM = range(FIRST, FIRST + 10)
ROOM_BYTES, COUNT, OUTPUTS, INPUTS, BLOCK = range(FIRST + 10, FIRST + 15)
LINEAR = "15q"


@intrinsic(prefer_literal=True)
def store_rows(_, sums, address, stride, outputs):
    """The first `outputs` of every row, as bfloat16; `stride` in bytes."""

    def build(context, b, signature, args):
        for place, row, column in sums.cells:
            at = b.add(args[1], b.mul(args[2], ir.Constant(I64, row)))
            vectors.store_first(b, b.extract_value(args[0], place), at, args[3], column * LANES)
        return context.get_dummy_value()

    return types.none(sums, types.int64, types.int64, types.int64), build


@njit(inline="always")
def widen(out, x, stride, rows, inputs):
    """Rows of bfloat16, `stride` bytes apart, in float32 and without gaps."""
    for row in range(rows):
        for k in range(inputs):
            set_f32(out, row * inputs + k, element(x + row * stride, k, 16))


@njit(inline="always")
def widen_block(own, first, end, a):
    """Rows `first` to `end` of x, beside a panel in a thread's own room; where row 0 would be."""
    inputs, stride = get_i64(a, INPUTS), get_i64(a, X_STRIDE)
    out = own + inputs * PANEL * 4
    widen(out, get_i64(a, X) + first * stride, stride, end - first, inputs)
    return out - first * inputs * 4


@njit(inline="always")
def add_panel(sums, x, stride, weight, later, step, inputs, size):
    """sums[r] + row r times a panel as written out; `step` bytes of `later` are fetched a line.

    Here and below, `size` is the bytes of an input.
    """
    for k in range(inputs // 2):
        tile.prefetch(later + k * step)
        tile.prefetch(later + k * step + LINE)
        sums = add_written(sums, x + k * 2 * size, stride, weight + k * PANEL * 2 * size, size)
    return sums


@njit(inline="always")
def kept_lines(panel, a):
    """Numbers and contents of a panel's lines in bfloat16."""
    first = get_i64(get_i64(a, FIRSTS), panel)
    return get_i64(a, PLACES) + first * 4, get_i64(a, KEPT) + first * PANEL * 4


@njit(inline="always")
def add_lines(sums, x, stride, panel, ahead, a, size):
    """sums[r] + row r times a panel; what lies `ahead` bytes on is fetched meanwhile."""
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
def multiply(rows, row, panel, ahead, x, stride, room, a, size):
    """A tile of `rows` from `row` on, by the panel as it is written out where there is `room`.

    Row r is at `x` + r * stride, in bytes.
    """
    outputs = get_i64(a, OUTPUTS)
    sums = tile.load(rows, 2, get_i64(a, BIAS) + panel * PANEL * 4, 0, 32)
    x += row * stride
    if room:
        at = get_i64(a, WEIGHT) + panel * (get_i64(a, INPUTS) // 4) * TWO_LINES
        step = TWO_LINES // 2 if ahead else 0
        sums = add_panel(sums, x, stride, room, at + ahead, step, get_i64(a, INPUTS), size)
    else:
        sums = add_lines(sums, x, stride, panel, ahead, a, size)
    out = get_i64(a, OUT) + (row * outputs + panel * PANEL) * 2
    store_rows(sums, out, outputs * 2, outputs - panel * PANEL)


@njit(inline="always")
def last_tile(first, row, end, least=1):
    """Where it begins: some rows once more cost less than `least` of them or more one at a time."""
    if end - FEWER < first or end - row >= FEWER or end - row < least:
        return row
    return end - FEWER


def make_linear(size: int) -> Body:
    """Of a contiguous result [COUNT, OUTPUTS]; inputs of `size` bytes are multiplied."""

    def linear(a):
        inputs, block = get_i64(a, INPUTS), get_i64(a, BLOCK)
        panels = (get_i64(a, OUTPUTS) + PANEL - 1) // PANEL
        items = (get_i64(a, COUNT) + block - 1) // block * panels
        panel_bytes = inputs // 4 * TWO_LINES
        own = get_i64(a, ROOM) + take(a + THREAD) * get_i64(a, ROOM_BYTES)
        x, stride, widened = get_i64(a, X), get_i64(a, X_STRIDE), -1
        item = take(a + ITEM)
        while item < items:
            following = take(a + ITEM)  # known early, so that its weights can be fetched
            first, panel = item // panels * block, item % panels
            row, end = first, min(first + block, get_i64(a, COUNT))
            ahead = (min(following, items - 1) % panels - panel) * panel_bytes
            room = own if end - row >= MANY else 0
            if room:
                write_panel(room, panel, a, size)
            if size == 4 and first != widened:
                x, stride, widened = widen_block(own, first, end, a), inputs * 4, first
            while row + ROWS <= end and row + ROWS + FEWER != end:
                multiply(ROWS, row, panel, ahead, x, stride, room, a, size)
                row, ahead = row + ROWS, 0
            while row + SOME <= end:
                multiply(SOME, row, panel, ahead, x, stride, room, a, size)
                row, ahead = row + SOME, 0
            while row < end:
                row = last_tile(first, row, end)
                if row + FEWER <= end:
                    multiply(FEWER, row, panel, ahead, x, stride, room, a, size)
                    row, ahead = row + FEWER, 0
                elif row + TWO <= end:
                    multiply(TWO, row, panel, ahead, x, stride, room, a, size)
                    row, ahead = row + TWO, 0
                else:
                    multiply(1, row, panel, ahead, x, stride, room, a, size)
                    row, ahead = row + 1, 0
            item = following

    return linear
