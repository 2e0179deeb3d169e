"""The noise of inferd.contracts.noise in torch, with a table of the tokens' words.

Shape suffixes: N rows, V vocabulary, K candidates.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from inferd.contracts.noise import GOLDEN, LOW_31, MIX_1, MIX_2, TOKEN_MIX, signed64, token_words


class Noise:
    """Gumbel noise for one vocabulary."""

    def __init__(self, vocab_size: int, device: torch.device) -> None:
        self._words_V = torch.from_numpy(token_words(vocab_size)).to(device)

    def position_keys(self, keys_N: Tensor, positions_N: Tensor) -> Tensor:
        """Two 32-bit words per row, [N, 2], for the token at `positions_N`."""
        x = keys_N + (positions_N + 1) * signed64(GOLDEN)
        x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * signed64(MIX_1)
        x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * signed64(MIX_2)
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


@functools.lru_cache(maxsize=8)
def noise_of(vocab_size: int, device: torch.device) -> Noise:
    return Noise(vocab_size, device)
