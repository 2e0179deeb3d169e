"""RMSNorm, alone or with the residual added first."""

from __future__ import annotations

import numpy as np
from numba import njit

from inferd_cpu_numba.kernels.memory import get_f64, get_i64
from inferd_cpu_numba.kernels.numbers import element, rounded, set_element
from inferd_cpu_numba.kernels.parallel import FIRST, Body, rows_of

X, WEIGHT, COUNT, SIZE, EPS, OUT, GROUP, OUTER, INNER = range(FIRST, FIRST + 9)
RMS_NORM, ADD_RMS_NORM = "4qd4q", "4qdq"
RESIDUAL = OUT


@njit(inline="always")
def norm_row(row, a, bits):
    size, group, weight = get_i64(a, SIZE), get_i64(a, GROUP), get_i64(a, WEIGHT)
    start = row // group * get_i64(a, OUTER) + row % group * get_i64(a, INNER)
    x = get_i64(a, X) + start * (bits // 8)
    out = get_i64(a, OUT) + row * size * (bits // 8)
    total = np.float32(0.0)
    for i in range(size):
        value = element(x, i, bits)
        total += value * value
    scale = scale_of(total, a)
    for i in range(size):
        value = rounded(element(x, i, bits) * scale, bits)
        set_element(out, i, value * element(weight, i, bits), bits)


@njit(inline="always")
def add_norm_row(row, a, bits):
    size, weight = get_i64(a, SIZE), get_i64(a, WEIGHT)
    x = get_i64(a, X) + row * size * (bits // 8)
    residual = get_i64(a, RESIDUAL) + row * size * (bits // 8)
    total = np.float32(0.0)
    for i in range(size):
        value = rounded(element(x, i, bits) + element(residual, i, bits), bits)
        set_element(residual, i, value, bits)
        total += value * value
    scale = scale_of(total, a)
    for i in range(size):
        value = rounded(element(residual, i, bits) * scale, bits)
        set_element(x, i, value * element(weight, i, bits), bits)


@njit(inline="always")
def scale_of(total, a):
    mean = total / np.float32(get_i64(a, SIZE)) + np.float32(get_f64(a, EPS))
    return np.float32(1.0) / np.sqrt(mean)


def make_rms_norm(bits: int) -> Body:
    """Of x[i // GROUP, i % GROUP], whose strides are OUTER and INNER; out is contiguous."""

    def rms_norm(a):
        rows = rows_of(a, get_i64(a, COUNT))
        while len(rows):
            for row in rows:
                norm_row(row, a, bits)
            rows = rows_of(a, get_i64(a, COUNT))

    return rms_norm


def make_add_rms_norm(bits: int) -> Body:
    """The sum into the residual's memory, its norm into that of x."""

    def add_rms_norm(a):
        rows = rows_of(a, get_i64(a, COUNT))
        while len(rows):
            for row in rows:
                add_norm_row(row, a, bits)
            rows = rows_of(a, get_i64(a, COUNT))

    return add_rms_norm
