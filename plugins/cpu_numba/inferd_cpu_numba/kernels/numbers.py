"""Elements as float32 and back, and exp, as scalars that LLVM's vectoriser takes sixteen at a time.

`bits` is 32 for float32, 16 for bfloat16.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from inferd_cpu_numba.kernels.memory import get_f32, get_u16, set_f32, set_u16
from inferd_cpu_numba.kernels.vectors import EXP2

P0, P1, P2, P3, P4, P5, P6 = (np.float32(factor) for factor in EXP2)
LOG2_E = np.float32(1.4426950408889634)
REASSOCIATED = {"reassoc", "contract", "nsz"}  # sums in any order; nan and inf stay what they are


@njit(inline="always")
def element(address, index, bits):
    if bits == 32:
        return get_f32(address, index)
    return widened(get_u16(address, index))


@njit(inline="always")
def set_element(address, index, value, bits):
    if bits == 32:
        set_f32(address, index, np.float32(value))
    else:
        set_u16(address, index, narrowed(np.float32(value)))


@njit(inline="always")
def rounded(value, bits):
    """To the precision of an element."""
    if bits == 32:
        return np.float32(value)
    return widened(narrowed(np.float32(value)))


@njit(inline="always")
def widened(stored):
    return np.uint32(np.uint32(stored) << np.uint32(16)).view(np.float32)


@njit(inline="always")
def narrowed(value):
    """To the nearest bfloat16, ties to even; nan stays nan."""
    raw = np.float32(value).view(np.uint32)
    odd = np.uint32(raw >> np.uint32(16)) & np.uint32(1)
    nearest = np.uint32(raw + np.uint32(0x7FFF) + odd) >> np.uint32(16)
    return np.uint16(nearest) if not np.isnan(value) else np.uint16(0x7FC0)


@njit(inline="always")
def exp(value):
    """e ** value between 2 ** -126 and 2 ** 126."""
    power = min(max(value * LOG2_E, np.float32(-126.0)), np.float32(126.0))
    whole = np.floor(power + np.float32(0.5))
    x = power - whole
    found = ((((((P0 * x + P1) * x + P2) * x + P3) * x + P4) * x + P5) * x) + P6
    shifted = np.int32(np.int32(whole) << np.int32(23))
    return np.int32(np.float32(found).view(np.int32) + shifted).view(np.float32)


@njit(inline="always")
def sigmoid(value):
    return np.float32(1.0) / (np.float32(1.0) + exp(-value))
