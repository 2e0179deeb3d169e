"""x in bfloat16 times a weight of 4 or 8 bits, on CPUs that multiply pairs (AVX-512 BF16).

A weight is code * scale + minimum, with a scale and a minimum for each group of inputs. It is
packed in panels of 32 outputs, and a panel in groups: codes, scales, minima, in the order in which
they are read (`codes.py`).

Few rows are multiplied by codes, which bfloat16 has exactly: a group's products are exact and its
sums float32; the scale comes in once a group, and the minimum times the sum of the group's inputs.
For many rows a panel is written out in bfloat16 first, which is done once, and multiplied as
`kernels.linear` does it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from inferd_cpu_numba.kernels import tile
from inferd_cpu_numba.kernels.codes import (
    FIELDS,
    add_codes,
    add_minima,
    add_scaled,
    spread,
    write_out,
)
from inferd_cpu_numba.kernels.linear import (
    FEWER,
    LINE,
    PANEL,
    ROWS,
    SOME,
    add_panel,
    last_tile,
    store_rows,
)
from inferd_cpu_numba.kernels.memory import get_i64, set_f32
from inferd_cpu_numba.kernels.numbers import element
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, THREAD, Body, take

MANY = 24  # rows from which a panel is written out
# TABLES: of numbers that fields of four bits stand for, 32 in bfloat16 and 16 in float32; ROOM: of
# each thread, ROOM_BYTES for the sums of a block's groups or for a panel in bfloat16
X, X_STRIDE, WEIGHT, BIAS, OUT, TABLES, ROOM, ROOM_BYTES = range(FIRST, FIRST + 8)
COUNT, OUTPUTS, GROUPS, BLOCK = range(FIRST + 8, FIRST + 12)
GROUPED = "12q"


class Layout(NamedTuple):
    """Constants of the compiled code."""

    size: int  # of a group: a multiple of 8
    bits: int  # of a code: 4 or 8
    scale_bits: int  # 16: float16, 32: float32
    minima: int  # 1; or 0: there are none, and codes of 8 bits are signed


@njit(inline="always")
def sum_groups(sums, row, end, a, layout):
    """Of x, float32 [rows, GROUPS]."""
    size, _, _, _ = layout
    groups = get_i64(a, GROUPS)
    for number in range(end - row):
        x = get_i64(a, X) + (row + number) * get_i64(a, X_STRIDE)
        for group in range(groups):
            total = np.float32(0.0)
            for k in range(group * size, (group + 1) * size):
                total += element(x, k, 16)
            set_f32(sums, number * groups + group, total)


@njit(inline="always")
def group_bytes(layout):
    """Of a panel: of its codes, and of all."""
    size, code_bits, bits, minima = layout
    codes = size * PANEL * code_bits // 8
    return codes, codes + (1 + minima) * PANEL * bits // 8


@njit(inline="always")
def multiply_codes(rows, row, panel, later, sums, a, layout):
    """A tile of `rows` from `row` on, whose groups' sums are at `sums`."""
    size, code_bits, bits, minima = layout
    stride, outputs, groups = get_i64(a, X_STRIDE), get_i64(a, OUTPUTS), get_i64(a, GROUPS)
    codes, step = group_bytes(layout)
    x, tables = get_i64(a, X) + row * stride, get_i64(a, TABLES)
    at = get_i64(a, WEIGHT) + panel * groups * step
    ahead = (later - panel) * groups * step
    total = tile.load(rows, 2, get_i64(a, BIAS) + panel * PANEL * 4, 0, 32)
    for group in range(groups):
        for line in range(0, step, LINE):
            tile.prefetch(at + ahead + line)
        part = tile.zeros(rows, 2)
        for k in range(0, size, FIELDS):
            eight = at + k * PANEL * code_bits // 8
            part = add_codes(part, x + k * 2, stride, eight, tables, code_bits, minima)
        total = add_scaled(total, part, at + codes, bits)
        if minima:
            place = at + codes + PANEL * bits // 8
            total = add_minima(total, sums + group * 4, groups * 4, place, bits)
        x, at = x + size * 2, at + step
    out = get_i64(a, OUT) + (row * outputs + panel * PANEL) * 2
    store_rows(total, out, outputs * 2, outputs - panel * PANEL)


@njit(inline="always")
def write_panel(panel, room, a, layout):
    size, code_bits, bits, minima = layout
    groups, tables = get_i64(a, GROUPS), get_i64(a, TABLES)
    codes, step = group_bytes(layout)
    at = get_i64(a, WEIGHT) + panel * groups * step
    for _ in range(groups):
        scales, lowest = spread(at + codes, bits), tile.zeros(1, 4)
        if minima:
            lowest = spread(at + codes + PANEL * bits // 8, bits)
        for k in range(0, size, FIELDS):
            place, eight = room + k * PANEL * 2, at + k * PANEL * code_bits // 8
            write_out(place, eight, tables, scales, lowest, code_bits, minima)
        room, at = room + size * PANEL * 2, at + step


@njit(inline="always")
def multiply(rows, row, panel, room, later, a, layout):
    """A tile of `rows` from `row` on by the panel at `room`; the one at `later` is fetched."""
    stride, outputs = get_i64(a, X_STRIDE), get_i64(a, OUTPUTS)
    sums = tile.load(rows, 2, get_i64(a, BIAS) + panel * PANEL * 4, 0, 32)
    x, inputs = get_i64(a, X) + row * stride, get_i64(a, GROUPS) * layout[0]
    step = group_bytes(layout)[1] * 2 // layout[0] if later else 0
    sums = add_panel(sums, x, stride, room, later, step, inputs)
    out = get_i64(a, OUT) + (row * outputs + panel * PANEL) * 2
    store_rows(sums, out, outputs * 2, outputs - panel * PANEL)


@njit(inline="always")
def few_rows(row, end, panel, later, room, a, layout):
    first, width = row, get_i64(a, GROUPS) * 4
    while row + ROWS <= end and row + ROWS + FEWER != end:
        multiply_codes(ROWS, row, panel, later, room + (row - first) * width, a, layout)
        row, later = row + ROWS, panel
    while row + SOME <= end:
        multiply_codes(SOME, row, panel, later, room + (row - first) * width, a, layout)
        row, later = row + SOME, panel
    while row < end:
        row = last_tile(first, row, end, FEWER - 1)
        if row + FEWER <= end:
            multiply_codes(FEWER, row, panel, later, room + (row - first) * width, a, layout)
            row, later = row + FEWER, panel
        else:
            multiply_codes(1, row, panel, later, room + (row - first) * width, a, layout)
            row, later = row + 1, panel


@njit(inline="always")
def many_rows(row, end, panel, later, room, a, layout):
    write_panel(panel, room, a, layout)
    first = row
    fetched = get_i64(a, WEIGHT) + later * get_i64(a, GROUPS) * group_bytes(layout)[1]
    while row + ROWS <= end and row + ROWS + FEWER != end:
        multiply(ROWS, row, panel, room, fetched, a, layout)
        row, fetched = row + ROWS, 0
    while row + SOME <= end:
        multiply(SOME, row, panel, room, fetched, a, layout)
        row, fetched = row + SOME, 0
    while row < end:
        row = last_tile(first, row, end)
        if row + FEWER <= end:
            multiply(FEWER, row, panel, room, fetched, a, layout)
            row, fetched = row + FEWER, 0
        else:
            multiply(1, row, panel, room, fetched, a, layout)
            row, fetched = row + 1, 0


def make_grouped(layout: Layout) -> Body:
    """Of a contiguous result [COUNT, OUTPUTS]."""
    size, bits, scale_bits, minima = layout

    def grouped(a):
        constants = (size, bits, scale_bits, minima)
        panels, block = (get_i64(a, OUTPUTS) + PANEL - 1) // PANEL, get_i64(a, BLOCK)
        items = (get_i64(a, COUNT) + block - 1) // block * panels
        room, summed = get_i64(a, ROOM) + take(a + THREAD) * get_i64(a, ROOM_BYTES), -1
        item = take(a + ITEM)
        while item < items:
            following = take(a + ITEM)
            row, panel = item // panels * block, item % panels
            end, later = min(row + block, get_i64(a, COUNT)), min(following, items - 1) % panels
            if end - row >= MANY:
                many_rows(row, end, panel, later, room, a, constants)
            else:
                if minima and row != summed:
                    sum_groups(room, row, end, a, constants)
                    summed = row
                few_rows(row, end, panel, later, room, a, constants)
            item = following

    return grouped
