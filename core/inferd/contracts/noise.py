"""The noise that draws add: a function of a row's key, the position and the token id alone.

So the same request draws the same tokens in any batch, at any row, on any device, over all tokens
or over a few candidates. Every implementation of the ops `draw` and `draw_filtered` computes it so,
in integers of 64 and 32 bits that wrap, `>>` shifting zeros in:

    mix64(x)     x = (x ^ x >> 30) * MIX_1;  x = (x ^ x >> 27) * MIX_2;  x ^ x >> 31
    row          mix64(key + (position + 1) * GOLDEN), cut into a low and a high word
    token word   the low word of mix64((id + 1) * GOLDEN)
    x            (token word ^ low) * (high | 1);  x = (x ^ x >> 16) * TOKEN_MIX;  31 low bits of x
    u            (x + 0.5) / 2**31, in float32
    noise        -log(-log1p(-u)), in float32
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: the increment of splitmix64
MIX_1 = 0xBF58476D1CE4E5B9  # mix64 is splitmix64's output function
MIX_2 = 0x94D049BB133111EB
TOKEN_MIX = 0x2C1B3C6D  # odd, below 2**31
WORD = (1 << 64) - 1
LOW_31 = (1 << 31) - 1


def mix64(x: int) -> int:
    """On Python integers."""
    x &= WORD
    x = ((x ^ (x >> 30)) * MIX_1) & WORD
    x = ((x ^ (x >> 27)) * MIX_2) & WORD
    return x ^ (x >> 31)


def token_words(vocab_size: int) -> npt.NDArray[np.int32]:
    """Of all tokens, by id."""
    x = np.arange(1, vocab_size + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(MIX_1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(MIX_2)
    return (x ^ (x >> np.uint64(31))).astype(np.uint32).view(np.int32)


def signed64(x: int) -> int:
    """The int64 with the bits of an unsigned one."""
    return x - (1 << 64) if x >> 63 else x
