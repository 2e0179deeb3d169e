"""What the sampling kernels compute with: floats as ordered integers, and the noise of draws.

A float32 becomes an int32 that orders as it does, and with a token id an int64: one maximum over
those is the largest value and the lowest id that has it, in any order of the reduction.
"""

from __future__ import annotations

import triton
import triton.language as tl

from inferd.contracts import noise

GOLDEN = tl.constexpr(noise.GOLDEN)
MIX_1 = tl.constexpr(noise.MIX_1)
MIX_2 = tl.constexpr(noise.MIX_2)
TOKEN_MIX = tl.constexpr(noise.TOKEN_MIX)
LOW_31 = tl.constexpr(noise.LOW_31)

OUTSIDE = tl.constexpr(-(2**31))  # below the order of every float: no token is here
NAN = tl.constexpr(2**31 - 1)
LEAST = tl.constexpr(-2139095040)  # of the smallest finite float32
NOTHING = tl.constexpr(-(2**63))  # packed, below all others
NO_ID = tl.constexpr(2**31 - 1)  # above every token id


@triton.jit
def order(x):
    """Greatest for nan, which is to be noticed; 0 for both zeros, which are equal."""
    bits = x.to(tl.int32, bitcast=True)
    key = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return tl.where(x != x, NAN, tl.where(x == 0, 0, key))  # noqa: PLR0124


@triton.jit
def unorder(key):
    return (key ^ ((key >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)


@triton.jit
def pack(key, ids):
    return (key.to(tl.int64) << 32) | (ids ^ NO_ID).to(tl.int64)


@triton.jit
def id_of(packed):
    return (packed & 0x7FFFFFFF).to(tl.int32) ^ NO_ID


@triton.jit
def key_of(packed):
    return (packed >> 32).to(tl.int32)


@triton.jit
def next_best(packed, last):
    """The largest below `last`; NOTHING where there is none."""
    return tl.max(tl.where(packed < last, packed, NOTHING), 0)


@triton.jit
def mix64(x):
    x = (x ^ (x >> 30)) * MIX_1
    x = (x ^ (x >> 27)) * MIX_2
    return x ^ (x >> 31)


@triton.jit
def row_words(key, position):
    """The two words of a row, as uint32; both arguments are int64."""
    place = position.to(tl.uint64, bitcast=True) + 1
    x = mix64(key.to(tl.uint64, bitcast=True) + place * GOLDEN)
    return x.to(tl.uint32), ((x >> 32) | 1).to(tl.uint32)


@triton.jit
def token_words(ids):
    """A word per token id, as uint32."""
    return mix64((ids.to(tl.uint64) + 1) * GOLDEN).to(tl.uint32)


@triton.jit
def log_of(x, FAST: tl.constexpr):
    """FAST is NVIDIA's instruction, to 2**-22; the library's function takes 20 instructions."""
    if FAST:
        asm: tl.constexpr = "lg2.approx.ftz.f32 $0, $1;"
        log2 = tl.inline_asm_elementwise(asm, "=f,f", [x], tl.float32, is_pure=True, pack=1)
        return log2 * 0.6931471805599453
    return tl.log(x)


@triton.jit
def gumbel(words, low, odd, FAST: tl.constexpr):
    x = (words ^ low) * odd
    x = (x ^ (x >> 16)) * TOKEN_MIX
    bits = (x & LOW_31).to(tl.int32, bitcast=True)
    u = (bits.to(tl.float32) + 0.5) * 4.656612873077393e-10
    # 1 - u drops the low bits of a small u; those are the large values, which win
    series = 0.2 + u * 0.16666667
    series = u * (1 + u * (0.5 + u * (0.33333333 + u * (0.25 + u * series))))
    return -log_of(tl.where(u < 0.0625, series, -log_of(1 - u, FAST)), FAST)


@triton.jit
def largest(x, v, V: tl.constexpr):
    """Of a tile: the largest value, the lowest id that has it, and its order, nan's if any is."""
    x = tl.where(v < V, x, -float("inf"))
    best = tl.max(x, 0)
    first = tl.min(tl.where((x == best) & (v < V), v, NO_ID), 0)
    any_nan = tl.max((x != x).to(tl.int32), 0) != 0  # noqa: PLR0124
    return tl.where(any_nan, NAN, order(best)), tl.where(first == NO_ID, 0, first)


@triton.jit
def log_or_least(x):
    """log(x); -inf of 0, which stands for a filter that is off."""
    return tl.where(x > 0, tl.log(tl.maximum(x, 1e-37)), -float("inf"))


@triton.jit
def finite_peak(peak):
    """What logits are taken relative to; where all are -inf, so stay they."""
    return tl.maximum(peak, -3.0e38)
