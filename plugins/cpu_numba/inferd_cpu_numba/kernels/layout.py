"""Weights of 4 and 8 bits: what their kernels are compiled for, and their arguments."""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from inferd_cpu_numba.kernels.panels import PANEL
from inferd_cpu_numba.kernels.parallel import FIRST

# TABLES: of numbers that fields of four bits stand for, 32 in bfloat16 and 16 in float32; ROOM: of
# each thread, ROOM_BYTES for the sums of a block's groups or for a panel that is written out; the
# last of them, where inputs are widened, for a block of them
X, X_STRIDE, WEIGHT, BIAS, OUT, TABLES, ROOM, ROOM_BYTES = range(FIRST, FIRST + 8)
COUNT, OUTPUTS, GROUPS, BLOCK = range(FIRST + 8, FIRST + 12)
GROUPED = "12q"


class Layout(NamedTuple):
    """Constants of the compiled code."""

    size: int  # of a group: a multiple of 8
    bits: int  # of a code: 4 or 8
    scale_bits: int  # 16: float16, 32: float32
    minima: int  # 1; or 0: there are none, and codes of 8 bits are signed
    input_bytes: int  # 2: bfloat16, multiplied in pairs, 4: float32


@njit(inline="always")
def group_bytes(layout):
    """Of a panel: of its codes, and of all."""
    size, code_bits, bits, minima, _ = layout
    codes = size * PANEL * code_bits // 8
    return codes, codes + (1 + minima) * PANEL * bits // 8
