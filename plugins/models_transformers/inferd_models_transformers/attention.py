"""One layer's attention over the paged cache, as transformers' module calls it.

Shape suffixes: T tokens, H query heads, G KV heads, E head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.attention import KVSpec
from inferd.contracts.model import BuildContext, KVCache
from inferd.layers import Attention, Layer
from inferd.types import Batch

from .facts import AttentionFacts


@dataclass(slots=True)
class Step:
    """What all layers of a model share while it runs one."""

    batch: Batch | None = None
    caches: Sequence[KVCache] = ()
    ropes: dict[int, Any] = field(default_factory=dict)  # by head size: of heads that do not turn


class PagedAttention(Layer):
    """Rotation is over when it is called. Shorter values are padded to the size of keys."""

    def __init__(self, facts: AttentionFacts, layer: int, step: Step, build: BuildContext) -> None:
        super().__init__()
        spec = KVSpec(
            facts.num_kv_heads,
            facts.head_dim,
            build.kv_dtype,
            "full" if facts.window is None else "window",
            facts.window,
        )
        self.attention = Attention(
            facts.num_heads, spec, build, scale=facts.scale, soft_cap=facts.soft_cap
        )
        self._facts, self._layer, self._step = facts, layer, step

    def forward(self, q_1HTE: Tensor, k_1GTE: Tensor, v_1GTE: Tensor) -> Tensor:
        """[1, T, H, E], E the size of values."""
        facts, batch = self._facts, self._step.batch
        assert batch is not None
        if facts.value_dim < facts.head_dim:
            v_1GTE = F.pad(v_1GTE, (0, facts.head_dim - facts.value_dim))
        qkv_TXE = torch.cat((q_1HTE[0], k_1GTE[0], v_1GTE[0])).transpose(0, 1).contiguous()
        batch.rope = self._step.ropes[facts.head_dim]
        out_TX = self.attention(qkv_TXE.flatten(1), batch, self._step.caches[self._layer])
        out_1THE: Tensor = out_TX.view(1, -1, facts.num_heads, facts.head_dim)
        return out_1THE[..., : facts.value_dim]
