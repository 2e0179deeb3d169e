"""Rows by a panel of 32 outputs: what weights have in common, however they are stored.

A tile is up to twelve rows of x times a panel, and its sums stay in registers over all inputs, in
the same order for any number of rows. Many rows are multiplied by a panel that was written out as
numbers first, in bfloat16, or in float32 where pairs are multiplied so. Then x is float32 as well:
each thread widens a block of it for itself.

Addresses are int64, strides bytes; `size` is the bytes of an input. A `target` is where a panel's
results go: the address of its biases, that of row 0, outputs of the matrix, and those from the
panel on.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels import tile, vectors
from inferd_cpu_numba.kernels.memory import set_f32
from inferd_cpu_numba.kernels.numbers import element
from inferd_cpu_numba.kernels.pairs import add_written
from inferd_cpu_numba.kernels.vectors import I64, LANES

COLUMNS = 2  # vectors of a panel
PANEL = COLUMNS * LANES  # outputs
ROWS, SOME, FEWER, TWO = 12, 8, 4, 2  # of a tile; twice eight are faster than twelve and four
MANY = 24  # rows from which a panel is written out
LINE = 64  # bytes that memory is fetched in


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
def begin_tile(rows, target):
    """Biases."""
    return tile.load(rows, COLUMNS, target[0], 0, 32)


@njit(inline="always")
def end_tile(sums, row, target):
    _, out, outputs, left = target
    store_rows(sums, out + row * outputs * 2, outputs * 2, left)


@njit(inline="always")
def target_of(bias, out, outputs, panel):
    return bias + panel * PANEL * 4, out + panel * PANEL * 2, outputs, outputs - panel * PANEL


@njit(inline="always")
def widen_block(out, x, stride, first, end, inputs):
    """Rows `first` to `end` of x in float32 and without gaps, at `out`; where row 0 would be."""
    for row in range(first, end):
        for k in range(inputs):
            set_f32(out, (row - first) * inputs + k, element(x + row * stride, k, 16))
    return out - first * inputs * 4


@njit(inline="always")
def multiply_written(rows, row, x, stride, room, later, step, target, inputs, size):
    """A tile of `rows` from `row` on; `step` bytes of `later` are fetched a line."""
    sums, x = begin_tile(rows, target), x + row * stride
    for k in range(inputs // 2):
        tile.prefetch(later + k * step)
        tile.prefetch(later + k * step + LINE)
        sums = add_written(sums, x + k * 2 * size, stride, room + k * PANEL * 2 * size, size)
    end_tile(sums, row, target)


@njit(inline="always")
def many_rows(first, end, x, stride, room, later, step, target, inputs, size):
    """Rows `first` to `end`, MANY or more, by the panel at `room`; all of `later` is fetched."""
    row = first
    while row + ROWS <= end and row + ROWS + FEWER != end:
        multiply_written(ROWS, row, x, stride, room, later, step, target, inputs, size)
        row, step = row + ROWS, 0
    while row + SOME <= end:
        multiply_written(SOME, row, x, stride, room, later, step, target, inputs, size)
        row, step = row + SOME, 0
    while row < end:
        row = last_tile(first, row, end)
        multiply_written(FEWER, row, x, stride, room, later, step, target, inputs, size)
        row += FEWER


@njit(inline="always")
def last_tile(first, row, end, least=1):
    """Where it begins: some rows once more cost less than `least` of them or more one at a time."""
    if end - FEWER < first or end - row >= FEWER or end - row < least:
        return row
    return end - FEWER
