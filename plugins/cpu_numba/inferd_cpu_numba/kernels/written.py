"""Many rows by a panel of `kernels.grouped`, whose weights are written out as numbers first."""

from __future__ import annotations

from numba import njit

from inferd_cpu_numba.kernels import tile
from inferd_cpu_numba.kernels.codes import FIELDS, spread, write_out
from inferd_cpu_numba.kernels.layout import BIAS, GROUPS, OUT, OUTPUTS, TABLES, WEIGHT, group_bytes
from inferd_cpu_numba.kernels.linear import (
    FEWER,
    PANEL,
    ROWS,
    SOME,
    add_panel,
    last_tile,
    store_rows,
)
from inferd_cpu_numba.kernels.memory import get_i64


@njit(inline="always")
def write_panel(panel, room, a, layout):
    size, code_bits, bits, minima, wide = layout
    groups, tables = get_i64(a, GROUPS), get_i64(a, TABLES)
    codes, step = group_bytes(layout)
    at = get_i64(a, WEIGHT) + panel * groups * step
    for _ in range(groups):
        scales, lowest = spread(at + codes, bits), tile.zeros(1, 4)
        if minima:
            lowest = spread(at + codes + PANEL * bits // 8, bits)
        for k in range(0, size, FIELDS):
            place, eight = room + k * PANEL * wide, at + k * PANEL * code_bits // 8
            write_out(place, eight, tables, scales, lowest, code_bits, minima, wide)
        room, at = room + size * PANEL * wide, at + step


@njit(inline="always")
def multiply(rows, row, panel, x, stride, room, later, a, layout):
    """A tile of `rows` from `row` on by the panel at `room`; the one at `later` is fetched."""
    outputs = get_i64(a, OUTPUTS)
    sums = tile.load(rows, 2, get_i64(a, BIAS) + panel * PANEL * 4, 0, 32)
    x, inputs = x + row * stride, get_i64(a, GROUPS) * layout[0]
    step = group_bytes(layout)[1] * 2 // layout[0] if later else 0
    sums = add_panel(sums, x, stride, room, later, step, inputs, layout[4])
    out = get_i64(a, OUT) + (row * outputs + panel * PANEL) * 2
    store_rows(sums, out, outputs * 2, outputs - panel * PANEL)


@njit(inline="always")
def many_rows(row, end, panel, later, x, stride, room, a, layout):
    write_panel(panel, room, a, layout)
    first = row
    fetched = get_i64(a, WEIGHT) + later * get_i64(a, GROUPS) * group_bytes(layout)[1]
    while row + ROWS <= end and row + ROWS + FEWER != end:
        multiply(ROWS, row, panel, x, stride, room, fetched, a, layout)
        row, fetched = row + ROWS, 0
    while row + SOME <= end:
        multiply(SOME, row, panel, x, stride, room, fetched, a, layout)
        row, fetched = row + SOME, 0
    while row < end:
        row = last_tile(first, row, end)
        if row + FEWER <= end:
            multiply(FEWER, row, panel, x, stride, room, fetched, a, layout)
            row, fetched = row + FEWER, 0
        else:
            multiply(1, row, panel, x, stride, room, fetched, a, layout)
            row, fetched = row + 1, 0
