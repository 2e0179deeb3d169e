"""Attention: rotary, KV write and attention over the paged cache, for one layer.

Shape suffixes: T tokens, H query heads, G KV heads, E head size; of a latent, K its size, F the
rotated part of its key, Z = K + F.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.attention import AttentionParams, KVSpec
from inferd.contracts.model import BuildContext, KVCache
from inferd.layers.layer import Layer
from inferd.types import Batch


class PagedAttention(Layer):
    """`group` is set once the layers of the model have been sorted into KV groups."""

    def __init__(self, params: AttentionParams, build: BuildContext) -> None:
        super().__init__()
        self.spec = params.spec
        self._backend = build.attention
        self._params = params

    def set_group(self, group: int) -> None:
        self._params = replace(self._params, group=group)

    def set_sinks(self, sinks_H: Tensor) -> None:
        """In float32; they come with the weights."""
        self._params = replace(self._params, sinks_H=sinks_H)

    def attend(self, q_THE: Tensor, batch: Batch, cache: KVCache) -> Tensor:
        """Over what the cache has after this step's write; [T, H, E]."""
        plan = batch.attention[self._params.group]
        return self._backend.forward(q_THE, *cache, plan, self._params)


class Attention(PagedAttention):
    """Of heads that each have keys and values, or share them in groups (GQA, MQA)."""

    def __init__(
        self,
        num_heads: int,
        spec: KVSpec,
        build: BuildContext,
        *,
        scale: float | None = None,
        soft_cap: float | None = None,
        alibi_slopes: Sequence[float] | None = None,
    ) -> None:
        slopes_H = None
        if alibi_slopes is not None:
            slopes_H = torch.tensor(alibi_slopes, dtype=torch.float32, device=build.device)
        params = AttentionParams(
            num_heads=num_heads,
            scale=spec.head_dim**-0.5 if scale is None else scale,
            spec=spec,
            group=0,
            soft_cap=soft_cap,
            alibi_slopes_H=slopes_H,
        )
        super().__init__(params, build)
        self._heads = num_heads + 2 * spec.num_kv_heads
        self._scales: tuple[Tensor, ...] = ()  # of keys and values, in a cache of 8 bits
        self._v_scale_H1: Tensor
        self._rope_kv_write = build.ops.rope_kv_write

    @property
    def unscaled(self) -> bool:
        """Whether its cache is one of 8 bits, and nobody has set scales."""
        return self.spec.dtype.itemsize == 1 and not self._scales

    def set_scales(self, k_scale_G: Tensor, v_scale_G: Tensor) -> None:
        """A cache of 8 bits holds k / k_scale and v / v_scale; others do as they are."""
        if self.spec.dtype.itemsize > 1:
            return
        self._scales = k_scale_G, v_scale_G
        shared = self._params.num_heads // len(v_scale_G)
        self._v_scale_H1 = v_scale_G.repeat_interleave(shared)[:, None]

    def forward(
        self,
        qkv: Tensor,
        batch: Batch,
        cache: KVCache,
        q_norm_E: Tensor | None = None,
        k_norm_E: Tensor | None = None,
        eps: float = 1e-6,
    ) -> Tensor:
        """From the fused projection [T, (H + 2 G) * E] to [T, H * E]."""
        params = self._params
        tokens = qkv.shape[0]
        q_THE = self._rope_kv_write(
            qkv.view(tokens, self._heads, self.spec.head_dim),
            params.num_heads,
            batch.rope,
            cache[0],
            cache[1],
            batch.slots_T[params.group],
            q_norm_E,
            k_norm_E,
            eps,
            *self._scales,
        )
        out_THE = self.attend(q_THE, batch, cache)
        if self._scales:
            out_THE *= self._v_scale_H1
        return out_THE.reshape(tokens, -1)


class LatentAttention(PagedAttention):
    """MLA (DeepSeek-V2, arXiv:2405.04434): all heads read one latent, which is key and value.

    `Batch.rope` is that of AngleRotary.
    """

    def __init__(self, num_heads: int, spec: KVSpec, scale: float, build: BuildContext) -> None:
        super().__init__(AttentionParams(num_heads, scale, spec, group=0), build)
        self._write = build.ops.latent_kv_write

    def forward(
        self,
        q_THK: Tensor,
        q_THF: Tensor,
        latent_TZ: Tensor,
        batch: Batch,
        cache: KVCache,
        norm_K: Tensor,
        eps: float,
    ) -> Tensor:
        """From queries in terms of the latent, and their rotated parts, to [T, H, K]."""
        slots_T = batch.slots_T[self._params.group]
        angles_TF: Any = batch.rope
        q_THF = self._write(q_THF, latent_TZ, angles_TF, cache[0], slots_T, norm_K, eps)
        return self.attend(torch.cat((q_THK, q_THF), dim=-1), batch, cache)
