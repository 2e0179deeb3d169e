"""Falcon's ALiBi: a key's place times a head's slope, rounded to bfloat16, is added to its scores.

Attention backends have ALiBi by distance, without that rounding, which moves scores of falcon-rw-1b
by up to 0.6 within 1,000 tokens. What is added depends on the key and the head alone, so it is
stored with the key: as further elements, one for each query head that shares it, of which a query
picks its own.

Shape suffixes: T tokens, H query heads, G KV heads, Q query heads of one, X = H + 2 G, E head size,
W the same with what is added.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from inferd.contracts.model import BuildContext, KVCache
from inferd.layers import Attention, DecoderShape, SelfAttention, alibi_slopes
from inferd.types import Batch

MULTIPLE = 16  # of sizes that every attention backend takes


def widened(shape: DecoderShape) -> int:
    """W."""
    return -(-(shape.head_dim + shape.num_heads // shape.num_kv_heads) // MULTIPLE) * MULTIPLE


class AlibiAttention(SelfAttention):
    """Its cache has no 8 bits: what is added would not be there."""

    def __init__(self, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        self._shape, self._width = shape, widened(shape)
        self.attn = Attention(
            shape.num_heads,
            replace(self.attn.spec, head_dim=self._width, dtype=build.config.dtype),
            build,
            scale=shape.head_dim**-0.5,
        )
        groups, shared = shape.num_kv_heads, shape.num_heads // shape.num_kv_heads
        slopes_H = torch.tensor(alibi_slopes(shape.num_heads), device=build.device)
        self._slopes_GQ = slopes_H.bfloat16().view(groups, shared)
        self._own_HQ = torch.eye(shared, device=build.device).repeat(groups, 1)

    def forward(self, x_TD: Tensor, batch: Batch, cache: KVCache) -> Tensor:
        wide_TX = self._widened(self.project(x_TD), batch.positions_T).flatten(1)
        out_THW = self.attn(wide_TX, batch, cache).view(len(x_TD), -1, self._width)
        out_TD: Tensor = self.o_proj(out_THW[..., : self._shape.head_dim].flatten(1))
        return out_TD

    def _widened(self, qkv_TX: Tensor, positions_T: Tensor) -> Tensor:
        """[T, X, W]; values get nothing."""
        heads, groups = self._shape.num_heads, self._shape.num_kv_heads
        size, end = self._shape.head_dim, self._shape.head_dim + self._slopes_GQ.shape[1]
        wide_TXW = qkv_TX.new_zeros(len(qkv_TX), heads + 2 * groups, self._width)
        wide_TXW[..., :size] = qkv_TX.view(len(qkv_TX), -1, size)
        wide_TXW[:, :heads, size:end] = self._own_HQ
        wide_TXW[:, heads : heads + groups, size:end] = self._slopes_GQ * positions_T[:, None, None]
        return wide_TXW
