"""Attention: rotary, KV write and attention over the paged cache, for one layer.

Shape suffixes: T tokens, H query heads, G KV heads, E head size.
"""

from __future__ import annotations

from torch import Tensor, nn

from inferd.contracts.attention import AttentionParams, KVSpec
from inferd.contracts.model import BuildContext, KVCache
from inferd.layers.rotary import Rotary
from inferd.types import Batch


class Attention(nn.Module):
    """`group` is set once the layers of the model have been sorted into KV groups."""

    def __init__(
        self,
        num_heads: int,
        spec: KVSpec,
        rotary: Rotary,
        build: BuildContext,
        *,
        scale: float | None = None,
        soft_cap: float | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.params = AttentionParams(
            num_heads=num_heads,
            scale=spec.head_dim**-0.5 if scale is None else scale,
            spec=spec,
            group=0,
            soft_cap=soft_cap,
        )
        self._rotary = [rotary]  # in a list: shared between layers, not a submodule of each
        self._rope_kv_write = build.ops.rope_kv_write
        self._backend = build.attention

    def set_group(self, group: int) -> None:
        p = self.params
        self.params = AttentionParams(p.num_heads, p.scale, p.spec, group, p.soft_cap)

    def forward(
        self,
        q_THE: Tensor,
        k_TGE: Tensor,
        v_TGE: Tensor,
        batch: Batch,
        cache: KVCache,
        q_norm_E: Tensor | None = None,
        k_norm_E: Tensor | None = None,
        eps: float = 1e-6,
    ) -> Tensor:
        """[T, H * E], in the order of the tokens."""
        group = self.params.group
        q_THE = self._rope_kv_write(
            q_THE,
            k_TGE,
            v_TGE,
            batch.positions_T,
            self._rotary[0].cos_sin_PE,
            cache[0],
            cache[1],
            batch.slots_T[group],
            q_norm_E,
            k_norm_E,
            eps,
        )
        out_THE = self._backend.forward(
            q_THE, cache[0], cache[1], batch.attention[group], self.params
        )
        return out_THE.reshape(out_THE.shape[0], -1)
