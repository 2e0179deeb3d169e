"""Attention: rotary, KV write and attention over the paged cache, for one layer.

Shape suffixes: T tokens, H query heads, G KV heads, E head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from inferd.contracts.attention import AttentionParams, KVSpec
from inferd.contracts.model import BuildContext, KVCache
from inferd.layers.layer import Layer
from inferd.types import Batch


class Attention(Layer):
    """`group` is set once the layers of the model have been sorted into KV groups."""

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
        super().__init__()
        self.spec = spec
        self._heads = num_heads + 2 * spec.num_kv_heads
        self._rope_kv_write = build.ops.rope_kv_write
        self._backend = build.attention
        self._params = AttentionParams(
            num_heads=num_heads,
            scale=spec.head_dim**-0.5 if scale is None else scale,
            spec=spec,
            group=0,
            soft_cap=soft_cap,
            alibi_slopes_H=None
            if alibi_slopes is None
            else torch.tensor(alibi_slopes, dtype=torch.float32, device=build.device),
        )

    def set_group(self, group: int) -> None:
        self._params = replace(self._params, group=group)

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
        )
        plan = batch.attention[params.group]
        out_THE = self._backend.forward(q_THE, cache[0], cache[1], plan, params)
        return out_THE.reshape(tokens, -1)
