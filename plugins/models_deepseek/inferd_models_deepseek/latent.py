"""Multi-head latent attention (MLA), from arXiv:2405.04434.

Keys and values of all heads are products of one latent, and the cache keeps nothing but that and a
rotated key that all heads share. Their matrices are applied to queries and outputs instead
("absorbed"), so that attention reads the latent as if it were the only KV head.

Shape suffixes: T tokens, D hidden, H heads, N elements of a head that are not rotated, F those that
are, E = N + F, V elements of a head's value, K size of the latent, Z = K + F.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inferd.contracts.model import BuildContext, KVCache
from inferd.layers import LatentAttention, Layer, LinearLayer, RMSNorm, head_order
from inferd.types import Batch

from .shape import LatentShape

NORM_EPS = 1e-6  # of the norms inside attention, whatever rms_norm_eps says


class LatentSelfAttention(Layer):
    def __init__(self, shape: LatentShape, layer: int, build: BuildContext) -> None:
        super().__init__()
        name = f"model.layers.{layer}.self_attn"
        hidden, heads, latent = shape.hidden_size, shape.num_heads, shape.latent_dim
        self._num_heads = heads
        self._parts = shape.plain_dim, shape.head_dim
        self._compressed = shape.query_rank is not None
        self._add_queries(name, shape, build)
        self.kv_a_proj_with_mqa = LinearLayer(
            f"{name}.kv_a_proj_with_mqa",
            hidden,
            [latent + shape.head_dim],
            build,
            bias=shape.qkv_bias,
            order=[rotated_last(shape, 1, latent)],
        )
        self.kv_a_layernorm = RMSNorm(latent, NORM_EPS, build)
        self.kv_b_proj = KvUp(f"{name}.kv_b_proj", shape, build)
        values = heads * shape.value_dim
        self.o_proj = LinearLayer(f"{name}.o_proj", values, [hidden], build, bias=shape.o_bias)
        spec = shape.kv_spec(build.config.dtype)
        self.attn = LatentAttention(heads, spec, shape.score_scale, build)

    def _add_queries(self, name: str, shape: LatentShape, build: BuildContext) -> None:
        """One matrix, or a compression, a norm and a matrix."""
        hidden, rank, heads = shape.hidden_size, shape.query_rank, shape.num_heads
        out, order = [heads * sum(self._parts)], [rotated_last(shape, heads, shape.plain_dim)]
        if rank is None:
            self.q_proj = LinearLayer(f"{name}.q_proj", hidden, out, build, order=order)
            return
        self.q_a_proj = LinearLayer(f"{name}.q_a_proj", hidden, [rank], build, bias=shape.qkv_bias)
        self.q_a_layernorm = RMSNorm(rank, NORM_EPS, build)
        self.q_b_proj = LinearLayer(f"{name}.q_b_proj", rank, out, build, order=order)

    def queries(self, x_TD: Tensor) -> Tensor:
        """[T, H, E]"""
        if self._compressed:
            q: Tensor = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x_TD))[0])
        else:
            q = self.q_proj(x_TD)
        return q.view(len(x_TD), self._num_heads, -1)

    def forward(self, x_TD: Tensor, batch: Batch, cache: KVCache) -> Tensor:
        q_THN, q_THF = self.queries(x_TD).split_with_sizes(self._parts, dim=-1)
        q_THK = self.kv_b_proj.absorb(q_THN)
        latent_TZ = self.kv_a_proj_with_mqa(x_TD)
        norm = self.kv_a_layernorm
        seen_THK = self.attn(q_THK, q_THF, latent_TZ, batch, cache, norm.weight, norm.eps)
        out_TD: Tensor = self.o_proj(self.kv_b_proj.expand_values(seen_THK).flatten(1))
        return out_TD


class KvUp(LinearLayer):
    """From the latent to keys and values of all heads, kept as two batches of matrices."""

    def __init__(self, name: str, shape: LatentShape, build: BuildContext) -> None:
        self._parts = shape.plain_dim, shape.value_dim
        self._heads, self._latent = shape.num_heads, shape.latent_dim
        super().__init__(name, self._latent, [self._heads * sum(self._parts)], build)
        self._dtype, self._device = build.config.dtype, build.device

    def finish(self) -> None:
        """However the weights are stored, their product with the identity is what they are."""
        super().finish()
        product = self._linear(torch.eye(self._latent, dtype=self._dtype, device=self._device))
        keys_KHN, values_KHV = product.view(self._latent, self._heads, -1).split_with_sizes(
            self._parts, dim=-1
        )
        self._keys_HNK = keys_KHN.permute(1, 2, 0).contiguous()
        self._values_HKV = values_KHV.transpose(0, 1).contiguous()
        self.num_bytes = product.nbytes
        del self._linear

    def absorb(self, q_THN: Tensor) -> Tensor:
        """Queries [T, H, K]: their scores with a latent are those with the keys made of it."""
        return torch.bmm(q_THN.transpose(0, 1), self._keys_HNK).transpose(0, 1)

    def expand_values(self, seen_THK: Tensor) -> Tensor:
        """[T, H, V]"""
        return torch.bmm(seen_THK.transpose(0, 1), self._values_HKV).transpose(0, 1)


def rotated_last(shape: LatentShape, heads: int, plain: int) -> Tensor | None:
    """For rows [heads * (plain + F)]: each head's last F in the order that ops rotate."""
    order_F = head_order(shape)
    if order_F is None:
        return None
    order_E = torch.cat((torch.arange(plain), plain + order_F))
    return (torch.arange(heads)[:, None] * len(order_E) + order_E).flatten()
