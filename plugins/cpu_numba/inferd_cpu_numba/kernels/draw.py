"""A draw from the softmax: the token whose logit / temperature + noise is largest.

Few tokens could win, so the noise, two logarithms, is computed for those alone. A token whose score
is less than the best by d needs a u of at most exp(-d), since 1 - exp(-exp(-d)) is less than that.
What u is, and from what, stands in inferd.contracts.noise.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from inferd.contracts.noise import GOLDEN, LOW_31, MIX_1, MIX_2, TOKEN_MIX
from inferd_cpu_numba.kernels import argmax, vectors
from inferd_cpu_numba.kernels.memory import get_f32, get_i32, get_i64, set_i64
from inferd_cpu_numba.kernels.numbers import element
from inferd_cpu_numba.kernels.parallel import FIRST, ITEM, Body, take
from inferd_cpu_numba.kernels.vectors import INT, LANES, VEC

# LOGITS to SCRATCH are those of argmax
WORDS, KEYS, KEY_STRIDE, POSITIONS, TEMPERATURES, TEMPERATURE_STRIDE = range(FIRST + 7, FIRST + 13)
DRAW = argmax.ARGMAX + "6q"
GOLDEN64, MIX64_1, MIX64_2 = np.uint64(GOLDEN), np.uint64(MIX_1), np.uint64(MIX_2)
WORD_MIX, WORD_LOW = np.uint32(TOKEN_MIX), np.uint32(LOW_31)
HALF, UNIT = np.float32(0.5), np.float32(2.0**-31)
LOG2_E = math.log2(math.e)
SLACK, ROUNDING = np.float32(1e-5), np.float32(4e-7)  # of the power; of a score, for its size


@njit(inline="always")
def mix64(x):
    x = (x ^ (x >> np.uint64(30))) * MIX64_1
    x = (x ^ (x >> np.uint64(27))) * MIX64_2
    return x ^ (x >> np.uint64(31))


@njit(inline="always")
def gumbel(word, low, high):
    """Of a token's word under the two of its row."""
    x = np.uint32(np.uint32(word ^ low) * np.uint32(high | np.uint32(1)))
    x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(16))) * WORD_MIX) & WORD_LOW
    u = (np.float32(np.int32(x)) + HALF) * UNIT
    return np.float32(-math.log(-math.log1p(-np.float64(u))))


@njit(inline="always")
def score(logits, words, at, temperature, low, high, bits):
    word = np.uint32(get_i32(words, at))
    return np.float32(element(logits, at, bits) / temperature + gumbel(word, low, high))


@intrinsic(prefer_literal=True)
def could_win(_, logits, words, temperature, least, low, high, bits):
    """A bit for each of 16 tokens: whether its score can be `least` or more."""
    width = bits.literal_value

    def build(context, b, signature, args):
        logits_at, words_at, *scalars = args[:-1]
        temperatures, leasts = (vectors.splat(b, scalar) for scalar in scalars[:2])
        lows, highs = (_splat_int(b, scalar) for scalar in scalars[2:])
        u = _uniform(b, _words(b, words_at), lows, highs)
        behind = b.fsub(b.fdiv(vectors.load(b, logits_at, width), temperatures), leasts)
        power = b.fmul(behind, vectors.constant(VEC, LOG2_E))
        power = vectors.smallest(b, power, vectors.constant(VEC, 64.0))
        found = b.bitcast(b.fcmp_ordered("<=", u, vectors.exp2(b, power)), ir.IntType(LANES))
        return b.zext(found, ir.IntType(64))

    kinds = (types.int64, types.int64, types.float32, types.float32, types.uint32, types.uint32)
    return types.int64(*kinds, bits), build


def _splat_int(b, scalar):
    one = b.insert_element(ir.Constant(INT, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return b.shuffle_vector(one, one, vectors.constant(INT, 0))


def _words(b, address):
    found = b.load(b.inttoptr(address, INT.as_pointer()))
    found.align = 4
    return found


def _uniform(b, words, lows, highs):
    """As `gumbel` has it."""
    x = b.mul(b.xor(words, lows), b.or_(highs, vectors.constant(INT, 1)))
    x = b.xor(x, b.lshr(x, vectors.constant(INT, 16)))
    x = b.and_(b.mul(x, vectors.constant(INT, TOKEN_MIX)), vectors.constant(INT, LOW_31))
    u = b.fadd(b.sitofp(x, VEC), vectors.constant(VEC, 0.5))
    return b.fmul(u, vectors.constant(VEC, 2.0**-31))


@njit(inline="always")
def draw_row(row, a, bits):
    """After argmax: its place becomes that of the largest score."""
    best, place = get_f32(get_i64(a, argmax.BEST), row), get_i64(get_i64(a, argmax.IDS), row)
    if not np.isfinite(best):
        return
    logits = get_i64(a, argmax.LOGITS) + row * get_i64(a, argmax.STRIDE) * (bits // 8)
    words, size = get_i64(a, WORDS), get_i64(a, argmax.SIZE)
    temperature = get_f32(get_i64(a, TEMPERATURES), row * get_i64(a, TEMPERATURE_STRIDE))
    key = np.uint64(get_i64(get_i64(a, KEYS), row * get_i64(a, KEY_STRIDE)))
    position = np.uint64(get_i64(get_i64(a, POSITIONS), row))
    mixed = mix64(key + (position + np.uint64(1)) * GOLDEN64)
    low, high = np.uint32(mixed), np.uint32(mixed >> np.uint64(32))
    top = score(logits, words, place, temperature, low, high, bits)
    whole = size // LANES * LANES
    for start in range(0, size, LANES):
        if start < whole:
            least = np.float32(top - (abs(top) * ROUNDING + SLACK))
            at, word = logits + start * (bits // 8), words + start * 4
            if could_win(at, word, temperature, least, low, high, bits) == 0:
                continue
        for i in range(start, min(start + LANES, size)):
            found = score(logits, words, i, temperature, low, high, bits)
            if found > top or (found == top and i < place):
                top, place = found, i
    set_i64(get_i64(a, argmax.IDS), row, place)


def make_draw(bits: int) -> Body:
    def draw(a):
        while True:
            row = take(a + ITEM)
            if row >= get_i64(a, argmax.COUNT):
                return
            argmax.argmax_row(row, a, bits)
            draw_row(row, a, bits)

    return draw
