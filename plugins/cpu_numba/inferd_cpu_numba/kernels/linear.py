"""x times a weight in bfloat16, on CPUs that multiply pairs of it (AVX-512 BF16).

A weight is packed in panels of 32 outputs, [panels, K / 2, 32, 2]: one load brings two inputs'
factors for sixteen outputs, and an instruction multiplies and adds both. A tile is up to twelve
rows of x times a panel, and its sums stay in registers over all of K, in the same order for any
number of rows. Items are panels, for one block of rows after the other: a block of x stays in L2.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels import tile, vectors
from inferd_cpu_numba.kernels.memory import get_i64
from inferd_cpu_numba.kernels.pairs import add_packed
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, Body, take
from inferd_cpu_numba.kernels.vectors import I64, LANES

PANEL = 2 * LANES  # outputs
ROWS, FEWER = 12, 4
LINE = 64  # bytes that memory is fetched in
# X_STRIDE: bytes of a row; BLOCK: rows
X, X_STRIDE, WEIGHT, BIAS, OUT, COUNT, OUTPUTS, INPUTS, BLOCK = range(FIRST, FIRST + 9)
LINEAR = "9q"


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
def add_panel(sums, x, stride, weight, ahead, inputs):
    """sums[r] + row r times a panel; what lies `ahead` bytes on is fetched meanwhile."""
    for k in range(inputs // 2):
        tile.prefetch(weight + ahead + k * PANEL * 4)
        tile.prefetch(weight + ahead + k * PANEL * 4 + LINE)
        sums = add_packed(sums, x + k * 4, stride, weight + k * PANEL * 4)
    return sums


@njit(inline="always")
def multiply(rows, row, panel, later, a):
    """A tile of `rows` from `row` on; the weights of the panel `later` are fetched meanwhile."""
    stride, outputs, inputs = get_i64(a, X_STRIDE), get_i64(a, OUTPUTS), get_i64(a, INPUTS)
    weight = get_i64(a, WEIGHT) + panel * inputs * PANEL * 2
    ahead = (later - panel) * inputs * PANEL * 2
    sums = tile.load(rows, 2, get_i64(a, BIAS) + panel * PANEL * 4, 0, 32)
    sums = add_panel(sums, get_i64(a, X) + row * stride, stride, weight, ahead, inputs)
    out = get_i64(a, OUT) + (row * outputs + panel * PANEL) * 2
    store_rows(sums, out, outputs * 2, outputs - panel * PANEL)


def make_linear() -> Body:
    """Of a contiguous result [COUNT, OUTPUTS]."""

    def linear(a):
        panels, size = (get_i64(a, OUTPUTS) + PANEL - 1) // PANEL, get_i64(a, BLOCK)
        items = (get_i64(a, COUNT) + size - 1) // size * panels
        item = take(a + ITEM)
        while item < items:
            following = take(a + ITEM)  # known early, so that its weights can be fetched
            row, panel, later = (
                item // panels * size,
                item % panels,
                min(following, items - 1) % panels,
            )
            end = min(row + size, get_i64(a, COUNT))
            while row + ROWS <= end:
                multiply(ROWS, row, panel, later, a)
                row, later = row + ROWS, panel
            while row + FEWER <= end:
                multiply(FEWER, row, panel, later, a)
                row, later = row + FEWER, panel
            while row < end:
                multiply(1, row, panel, later, a)
                row, later = row + 1, panel
            item = following

    return linear
