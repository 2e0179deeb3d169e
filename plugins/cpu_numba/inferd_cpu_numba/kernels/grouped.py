"""x in bfloat16 times a weight of 4 or 8 bits, on CPUs with AVX-512.

A weight is code * scale + minimum, with a scale and a minimum for each group of inputs. It is
packed in panels of 32 outputs, and a panel in groups: codes, scales, minima, in the order in which
they are read (`codes.py`).

Few rows are multiplied by codes, which bfloat16 has exactly: a group's products are exact and its
sums float32; the scale comes in once a group, and the minimum times the sum of the group's inputs.
For many rows a panel is written out first (`panels.py`).
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
    spread,
    write_out,
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
from inferd_cpu_numba.kernels.memory import get_i64, set_f32
from inferd_cpu_numba.kernels.numbers import element
from inferd_cpu_numba.kernels.panels import (
    FEWER,
    LINE,
    MANY,
    PANEL,
    ROWS,
    SOME,
    begin_tile,
    end_tile,
    last_tile,
    many_rows,
    target_of,
    widen_block,
)
from inferd_cpu_numba.kernels.parallel import ITEM, THREAD, Body, take


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
def multiply_codes(rows, row, panel, later, x, stride, target, sums, a, layout):
    """A tile of `rows` from `row` on, whose groups' sums are at `sums`.

    Row r is at `x` + r * stride, in bytes.
    """
    size, code_bits, bits, minima, wide = layout
    groups, tables = get_i64(a, GROUPS), get_i64(a, TABLES)
    codes, step = group_bytes(layout)
    x += row * stride
    at = get_i64(a, WEIGHT) + panel * groups * step
    ahead = (later - panel) * groups * step
    total = begin_tile(rows, target)
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
    end_tile(total, row, target)


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
def few_rows(first, end, panel, later, x, stride, target, sums, a, layout):
    row, width = first, get_i64(a, GROUPS) * 4
    while row + ROWS <= end and row + ROWS + FEWER != end:
        own = sums + (row - first) * width
        multiply_codes(ROWS, row, panel, later, x, stride, target, own, a, layout)
        row, later = row + ROWS, panel
    while row + SOME <= end:
        own = sums + (row - first) * width
        multiply_codes(SOME, row, panel, later, x, stride, target, own, a, layout)
        row, later = row + SOME, panel
    while row < end:
        row = last_tile(first, row, end, FEWER - 1)
        own = sums + (row - first) * width
        if row + FEWER <= end:
            multiply_codes(FEWER, row, panel, later, x, stride, target, own, a, layout)
            row, later = row + FEWER, panel
        else:
            multiply_codes(1, row, panel, later, x, stride, target, own, a, layout)
            row, later = row + 1, panel


def make_grouped(layout: Layout) -> Body:
    """Of a contiguous result [COUNT, OUTPUTS]."""
    size, bits, scale_bits, minima, wide = layout

    def grouped(a):
        constants = (size, bits, scale_bits, minima, wide)
        inputs, outputs = get_i64(a, GROUPS) * size, get_i64(a, OUTPUTS)
        panels, block = (outputs + PANEL - 1) // PANEL, get_i64(a, BLOCK)
        items, step = (get_i64(a, COUNT) + block - 1) // block * panels, group_bytes(constants)[1]
        room, known = get_i64(a, ROOM) + take(a + THREAD) * get_i64(a, ROOM_BYTES), -1
        x, stride = get_i64(a, X), get_i64(a, X_STRIDE)
        item = take(a + ITEM)
        while item < items:
            following = take(a + ITEM)
            row, panel = item // panels * block, item % panels
            end, later = min(row + block, get_i64(a, COUNT)), min(following, items - 1) % panels
            target = target_of(get_i64(a, BIAS), get_i64(a, OUT), outputs, panel)
            if wide == 4 and row != known:
                place = room + get_i64(a, ROOM_BYTES) - block * inputs * wide
                x = widen_block(place, get_i64(a, X), get_i64(a, X_STRIDE), row, end, inputs)
                stride = inputs * wide
            if end - row >= MANY:
                write_panel(panel, room, a, constants)
                fetched = get_i64(a, WEIGHT) + later * get_i64(a, GROUPS) * step
                per_line = step * 2 // size
                many_rows(row, end, x, stride, room, fetched, per_line, target, inputs, wide)
            else:
                if minima and row != known:
                    sum_groups(room, row, end, a, constants)
                few_rows(row, end, panel, later, x, stride, target, room, a, constants)
            item, known = following, row

    return grouped
