"""RMSNorm, alone or with the residual added first. Items are rows."""

from __future__ import annotations

import numpy as np

from inferd_cpu_numba.kernels.memory import get_f64, get_i64
from inferd_cpu_numba.kernels.numbers import element, rounded, set_element
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, Body, take

X, WEIGHT, COUNT, SIZE, EPS, OUT, GROUP, OUTER, INNER = range(FIRST, FIRST + 9)
RMS_NORM, ADD_RMS_NORM = "4qd4q", "4qdq"
RESIDUAL = OUT


def make_rms_norm(bits: int) -> Body:
    """out[i] of x[i // GROUP, i % GROUP], whose strides are OUTER and INNER; out is contiguous."""

    def rms_norm(a):
        size, group = get_i64(a, SIZE), get_i64(a, GROUP)
        weight = get_i64(a, WEIGHT)
        while True:
            row = take(a + ITEM)
            if row >= get_i64(a, COUNT):
                return
            start = row // group * get_i64(a, OUTER) + row % group * get_i64(a, INNER)
            x = get_i64(a, X) + start * (bits // 8)
            out = get_i64(a, OUT) + row * size * (bits // 8)
            total = np.float32(0.0)
            for i in range(size):
                value = element(x, i, bits)
                total += value * value
            mean = total / np.float32(size) + np.float32(get_f64(a, EPS))
            scale = np.float32(1.0) / np.sqrt(mean)
            for i in range(size):
                value = rounded(element(x, i, bits) * scale, bits)
                set_element(out, i, value * element(weight, i, bits), bits)

    return rms_norm


def make_add_rms_norm(bits: int) -> Body:
    """The sum into the residual's memory, its norm into that of x."""

    def add_rms_norm(a):
        size, weight = get_i64(a, SIZE), get_i64(a, WEIGHT)
        while True:
            row = take(a + ITEM)
            if row >= get_i64(a, COUNT):
                return
            x = get_i64(a, X) + row * size * (bits // 8)
            residual = get_i64(a, RESIDUAL) + row * size * (bits // 8)
            total = np.float32(0.0)
            for i in range(size):
                value = rounded(element(x, i, bits) + element(residual, i, bits), bits)
                set_element(residual, i, value, bits)
                total += value * value
            mean = total / np.float32(size) + np.float32(get_f64(a, EPS))
            scale = np.float32(1.0) / np.sqrt(mean)
            for i in range(size):
                value = rounded(element(residual, i, bits) * scale, bits)
                set_element(x, i, value * element(weight, i, bits), bits)

    return add_rms_norm
