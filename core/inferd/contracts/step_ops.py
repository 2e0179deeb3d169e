"""Ops between the request table, the layers and the cache: a step's inputs, rotation and KV write.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, K size of a latent, Z a latent
with the rotated part of its key, F rotated elements, P positions, B blocks, S slots per block, R
rows of a step, L tokens of history; X heads of a fused projection, or rows of the request table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class PrepareRope(Protocol):
    """Once per step: whatever rope_kv_write wants of the positions.

    `cos_sin_PE` holds cos in the first half of the last dimension, sin in the second, in float32.
    """

    def __call__(self, positions_T: Tensor, cos_sin_PE: Tensor, dtype: torch.dtype) -> Any: ...


class RopeKvWrite(Protocol):
    """Rotate q and k by position (halves layout), store k and v at their slots, return q [T, H, E].

    `qkv_TXE` is the fused projection, X = H + 2 G heads in the order q, k, v. The caches are views
    [B, S, G, E] of any strides; slot = block * S + offset. With norm weights, q and k are
    RMS-normalised per head before the rotation (QK-norm). May overwrite `qkv_TXE`.

    A cache in FP8 gets k and v divided by the scale of their head, float32, limited to its largest
    number; q is then returned times the k_scale of its KV head, so that scores stay as they were.
    Scales are given for such caches alone, both or none, which is 1 for all heads.
    """

    def __call__(
        self,
        qkv_TXE: Tensor,
        num_heads: int,
        rope: Any,
        k_cache_BSGE: Tensor,
        v_cache_BSGE: Tensor,
        slots_T: Tensor,
        q_norm_E: Tensor | None,
        k_norm_E: Tensor | None,
        eps: float,
        k_scale_G: Tensor | None = None,
        v_scale_G: Tensor | None = None,
    ) -> Tensor: ...


class LatentKvWrite(Protocol):
    """MLA: normalise the latent (RMS), rotate q and k (halves layout), store latent and k.

    `latent_TZ` is a token's latent [K], then its key's rotated part [F]; together they are what
    `cache_BS1Z` has in a slot. `q_THF` are the rotated parts of the queries [T, H, F] and are
    returned rotated. `cos_sin_TF` has cos of the step's tokens in its first half, then sin, in
    float32. May overwrite `q_THF` and `latent_TZ`.
    """

    def __call__(
        self,
        q_THF: Tensor,
        latent_TZ: Tensor,
        cos_sin_TF: Tensor,
        cache_BS1Z: Tensor,
        slots_T: Tensor,
        norm_K: Tensor,
        eps: float,
    ) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class StepInputs:
    """What the layers read of a step, made on the device."""

    ids_T: Tensor  # int64
    positions_T: Tensor  # int64
    query_starts_R1: Tensor  # int32
    contexts_R: Tensor  # int32, tokens in the cache after the step
    slots_T: list[Tensor]  # per group, int64: block * block_size + offset
    block_tables_RB: list[Tensor]  # per group, int32; entries past a row's context are not read


class PrepareInputs(Protocol):
    """From the rows of a step to the inputs of its tokens, through the request table.

    `step_3X` is int64 [3, R + 1]: rows of the table, position of each row's first token, and query
    starts; the first two have nothing in their last column. With as many tokens as rows, each row
    has one; else a row may have none. A row's ids come from its history, so they may be tokens that
    an earlier step samples. `width` is the number of blocks that the widest row needs, or more.
    """

    def __call__(
        self,
        step_3X: Tensor,
        history_XL: Tensor,
        tables_XB: Sequence[Tensor],
        block_size: int,
        num_tokens: int,
        width: int,
    ) -> StepInputs: ...
