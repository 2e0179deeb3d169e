"""Counter-based Gumbel noise: a function of (seed, sample index, position, token id) alone.

A row's key is a 64-bit hash of the first three; a token's word is a 32-bit hash of its id. Their
product, mixed once more, gives 31 uniform bits per (row, token), so the same request draws the same
tokens in any batch, at any row, over all tokens or over a few candidates.

Shape suffixes: N rows, V vocabulary, K candidates.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from inferd.memory.staging import upload

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: the increment of splitmix64
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB
TOKEN_MIX = 0x2C1B3C6D  # odd, below 2**31
LOW_31 = 0x7FFFFFFF


def mix64(x: int) -> int:
    """The output function of splitmix64, on Python integers."""
    x &= WORD
    x = ((x ^ (x >> 30)) * MIX_1) & WORD
    x = ((x ^ (x >> 27)) * MIX_2) & WORD
    return x ^ (x >> 31)


def row_key(seed: int, index: int) -> int:
    """What a row's noise starts from, as a signed 64-bit integer."""
    return _signed(mix64(mix64(seed + GOLDEN) + (index + 1) * GOLDEN))


class Noise:
    """Gumbel noise for one vocabulary."""

    def __init__(self, vocab_size: int, device: torch.device) -> None:
        ids = np.arange(1, vocab_size + 1, dtype=np.uint64) * np.uint64(GOLDEN)
        self._words_V = upload(_mix64_array(ids).astype(np.uint32).view(np.int32), device)

    def position_keys(self, keys_N: Tensor, positions_N: Tensor) -> Tensor:
        """Two 32-bit words per row, [N, 2], for the token at `positions_N`."""
        x = keys_N + (positions_N + 1) * _signed(GOLDEN)
        x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * _signed(MIX_1)
        x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * _signed(MIX_2)
        x = x ^ ((x >> 31) & ((1 << 33) - 1))
        return x.view(torch.int32).view(-1, 2)

    def gumbel(self, keys_N2: Tensor, ids_NK: Tensor | None = None) -> Tensor:
        """Standard Gumbel noise in float32, of every token [N, V] or of candidates [N, K]."""
        words = self._words_V if ids_NK is None else self._words_V[ids_NK]
        x = words ^ keys_N2[:, :1]
        x.mul_(keys_N2[:, 1:] | 1)
        x.bitwise_xor_((x >> 16).bitwise_and_(0xFFFF))
        x.mul_(TOKEN_MIX).bitwise_and_(LOW_31)
        # -log1p(-u) keeps small u exact: they are the large values, which win
        u = x.to(torch.float32).add_(0.5).mul_(-(2.0**-31))
        return u.log1p_().neg_().log_().neg_()


def _signed(x: int) -> int:
    return x - (1 << 64) if x >> 63 else x


def _mix64_array(
    x: np.ndarray[tuple[int], np.dtype[np.uint64]],
) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(MIX_1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(MIX_2)
    return x ^ (x >> np.uint64(31))
