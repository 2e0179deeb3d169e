"""-inf for the logits of tokens that a mask leaves out, in place; nan stays nan.

Words in which all 32 tokens may follow are passed over without a look at their logits.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from inferd_cpu_numba.kernels import vectors
from inferd_cpu_numba.kernels.memory import get_i32, get_i64
from inferd_cpu_numba.kernels.numbers import element, set_element
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, Body, take
from inferd_cpu_numba.kernels.vectors import HALF, I16, INT, LANES

LOGITS, STRIDE, SIZE, WORDS, NUM_WORDS, PLACES, COUNT = range(FIRST, FIRST + 7)
MASK = "7q"
ALL, TOKENS = -1, 32  # of a word
INF = {16: 0x7F80, 32: 0x7F800000}  # as stored; above it, without the sign, is nan


@intrinsic(prefer_literal=True)
def hide(_, address, allowed, bits):
    """16 logits, by the lower 16 bits of `allowed`."""
    width = bits.literal_value

    def build(context, b, signature, args):
        kind = HALF if width == 16 else INT
        place = b.inttoptr(args[0], kind.as_pointer())
        found = b.load(place)
        found.align = width // 8
        sign, inf = 1 << width - 1, INF[width]
        size = b.and_(found, vectors.constant(kind, sign - 1))
        is_nan = b.icmp_unsigned(">", size, vectors.constant(kind, inf))
        may = b.bitcast(b.trunc(args[1], I16), ir.VectorType(ir.IntType(1), LANES))
        b.store(
            b.select(b.or_(may, is_nan), found, vectors.constant(kind, sign | inf)), place
        ).align = width // 8
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, bits), build


@njit(inline="always")
def hide_some(logits, start, end, word, bits):
    """Of the last word, whose later bits mean nothing."""
    for at in range(start, end):
        value = element(logits, at, bits)
        if word >> (at - start) & 1 == 0 and not np.isnan(value):
            set_element(logits, at, np.float32(-np.inf), bits)


@njit(inline="always")
def mask_row(item, a, bits):
    place = get_i64(get_i64(a, PLACES), item)
    logits = get_i64(a, LOGITS) + place * get_i64(a, STRIDE) * (bits // 8)
    size, words = get_i64(a, SIZE), get_i64(a, WORDS) + item * get_i64(a, NUM_WORDS) * 4
    for number in range(size // TOKENS):
        word = get_i32(words, number)
        if word != ALL:
            first = logits + number * TOKENS * (bits // 8)
            hide(first, word, bits)
            hide(first + LANES * (bits // 8), word >> LANES, bits)
    if size % TOKENS:
        last = size // TOKENS
        hide_some(logits, last * TOKENS, size, get_i32(words, last), bits)


def make_mask(bits: int) -> Body:
    def mask(a):
        while True:
            item = take(a + ITEM)
            if item >= get_i64(a, COUNT):
                return
            mask_row(item, a, bits)

    return mask
