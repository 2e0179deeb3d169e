"""x in bfloat16 times a weight of 4 or 8 bits, on CPUs with AVX-512.

A weight is code * scale + minimum, with a scale and a minimum for each group of inputs. It is
packed in panels of 32 outputs, and a panel in groups: codes, scales, minima, in the order in which
they are read (`codes.py`).

Few rows are multiplied by codes, which bfloat16 has exactly: a group's products are exact and its
sums float32; the scale comes in once a group, and the minimum times the sum of the group's inputs.
For many rows a panel is written out first, which is done once, and multiplied as `kernels.linear`
does it, which also tells where inputs are widened to float32.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from inferd_cpu_numba.kernels import tile
from inferd_cpu_numba.kernels.codes import (
    FIELDS,
    add_codes,
    add_minima,
    add_scaled,
)
from inferd_cpu_numba.kernels.layout import (
    BIAS,
    BLOCK,
    COUNT,
    GROUPS,
    OUT,
    OUTPUTS,
    ROOM,
    ROOM_BYTES,
    TABLES,
    WEIGHT,
    X_STRIDE,
    Layout,
    X,
    group_bytes,
)
from inferd_cpu_numba.kernels.linear import (
    FEWER,
    LINE,
    PANEL,
    ROWS,
    SOME,
    last_tile,
    store_rows,
    widen,
)
from inferd_cpu_numba.kernels.memory import get_i64, set_f32
from inferd_cpu_numba.kernels.numbers import element
from inferd_cpu_numba.kernels.parallel import ITEM, THREAD, Body, take
from inferd_cpu_numba.kernels.written import many_rows

MANY = 24  # rows from which a panel is written out


@njit(inline="always")
def sum_groups(sums, row, end, a, layout):
    """Of x, float32 [rows, GROUPS]."""
    size = layout[0]
    groups = get_i64(a, GROUPS)
    for number in range(end - row):
        x = get_i64(a, X) + (row + number) * get_i64(a, X_STRIDE)
        for group in range(groups):
            total = np.float32(0.0)
            for k in range(group * size, (group + 1) * size):
                total += element(x, k, 16)
            set_f32(sums, number * groups + group, total)


@njit(inline="always")
def multiply_codes(rows, row, panel, later, x, stride, sums, a, layout):
    """A tile of `rows` from `row` on, whose groups' sums are at `sums`.

    Row r is at `x` + r * stride, in bytes.
    """
    size, code_bits, bits, minima, wide = layout
    outputs, groups, tables = get_i64(a, OUTPUTS), get_i64(a, GROUPS), get_i64(a, TABLES)
    codes, step = group_bytes(layout)
    x += row * stride
    at = get_i64(a, WEIGHT) + panel * groups * step
    ahead = (later - panel) * groups * step
    total = tile.load(rows, 2, get_i64(a, BIAS) + panel * PANEL * 4, 0, 32)
    for group in range(groups):
        for line in range(0, step, LINE):
            tile.prefetch(at + ahead + line)
        part = tile.zeros(rows, 2)
        for k in range(0, size, FIELDS):
            eight = at + k * PANEL * code_bits // 8
            part = add_codes(part, x + k * wide, stride, eight, tables, code_bits, minima, wide)
        total = add_scaled(total, part, at + codes, bits)
        if minima:
            place = at + codes + PANEL * bits // 8
            total = add_minima(total, sums + group * 4, groups * 4, place, bits)
        x, at = x + size * wide, at + step
    out = get_i64(a, OUT) + (row * outputs + panel * PANEL) * 2
    store_rows(total, out, outputs * 2, outputs - panel * PANEL)


@njit(inline="always")
def few_rows(row, end, panel, later, x, stride, room, a, layout):
    first, width = row, get_i64(a, GROUPS) * 4
    while row + ROWS <= end and row + ROWS + FEWER != end:
        multiply_codes(ROWS, row, panel, later, x, stride, room + (row - first) * width, a, layout)
        row, later = row + ROWS, panel
    while row + SOME <= end:
        multiply_codes(SOME, row, panel, later, x, stride, room + (row - first) * width, a, layout)
        row, later = row + SOME, panel
    while row < end:
        row = last_tile(first, row, end, FEWER - 1)
        if row + FEWER <= end:
            multiply_codes(
                FEWER, row, panel, later, x, stride, room + (row - first) * width, a, layout
            )
            row, later = row + FEWER, panel
        else:
            multiply_codes(1, row, panel, later, x, stride, room + (row - first) * width, a, layout)
            row, later = row + 1, panel


@njit(inline="always")
def widen_block(end_of_room, row, end, a, layout):
    """Rows `row` to `end` of x in float32, before `end_of_room`; where row 0 would be."""
    inputs, stride = get_i64(a, GROUPS) * layout[0], get_i64(a, X_STRIDE)
    out = end_of_room - get_i64(a, BLOCK) * inputs * 4
    widen(out, get_i64(a, X) + row * stride, stride, end - row, inputs)
    return out - row * inputs * 4


def make_grouped(layout: Layout) -> Body:
    """Of a contiguous result [COUNT, OUTPUTS]."""
    size, bits, scale_bits, minima, wide = layout

    def grouped(a):
        constants = (size, bits, scale_bits, minima, wide)
        panels, block = (get_i64(a, OUTPUTS) + PANEL - 1) // PANEL, get_i64(a, BLOCK)
        items = (get_i64(a, COUNT) + block - 1) // block * panels
        room, known = get_i64(a, ROOM) + take(a + THREAD) * get_i64(a, ROOM_BYTES), -1
        x, stride = get_i64(a, X), get_i64(a, X_STRIDE)
        item = take(a + ITEM)
        while item < items:
            following = take(a + ITEM)
            row, panel = item // panels * block, item % panels
            end, later = min(row + block, get_i64(a, COUNT)), min(following, items - 1) % panels
            if wide == 4 and row != known:
                x = widen_block(room + get_i64(a, ROOM_BYTES), row, end, a, constants)
                stride = get_i64(a, GROUPS) * size * 4
            if end - row >= MANY:
                many_rows(row, end, panel, later, x, stride, room, a, constants)
            else:
                if minima and row != known:
                    sum_groups(room, row, end, a, constants)
                few_rows(row, end, panel, later, x, stride, room, a, constants)
            item, known = following, row

    return grouped
