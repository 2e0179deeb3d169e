"""act(gate) * up."""

from __future__ import annotations

import numpy as np
from numba import njit

from inferd_cpu_numba.kernels.memory import get_i64
from inferd_cpu_numba.kernels.numbers import element, set_element, sigmoid
from inferd_cpu_numba.kernels.parallel import FIRST, Body, rows_of

X, OUT, COUNT, SIZE = range(FIRST, FIRST + 4)
ACT_AND_MUL = "4q"
SILU, GELU_TANH = 0, 1
ROOT = np.float32(2 * (2 / np.pi) ** 0.5)  # gelu_tanh is x sigmoid(2 sqrt(2 / pi) (x + c x^3))
CUBE = np.float32(0.044715)


@njit(inline="always")
def activated(x, kind):
    if kind == SILU:
        return x * sigmoid(x)
    return x * sigmoid(ROOT * (x + CUBE * x * x * x))


@njit(inline="always")
def activate_row(row, a, bits, kind):
    size = get_i64(a, SIZE)
    gate = get_i64(a, X) + row * 2 * size * (bits // 8)
    up, out = gate + size * (bits // 8), get_i64(a, OUT) + row * size * (bits // 8)
    for i in range(size):
        value = activated(element(gate, i, bits), kind)
        set_element(out, i, value * element(up, i, bits), bits)


def make_act_and_mul(bits: int, kind: int) -> Body:
    def act_and_mul(a):
        rows = rows_of(a, get_i64(a, COUNT))
        while len(rows):
            for row in rows:
                activate_row(row, a, bits, kind)
            rows = rows_of(a, get_i64(a, COUNT))

    return act_and_mul
