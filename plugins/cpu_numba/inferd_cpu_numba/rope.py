"""Rotation of heads and the write into the cache, as one op.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inferd_cpu_numba import runtime
from inferd_cpu_numba.threads import threads_for


def prepare_rope(
    positions_T: Tensor,
    cos_sin_PE: Tensor,
    dtype: torch.dtype,  # noqa: ARG001
) -> tuple[Tensor, Tensor]:
    """Angles are looked up where they are used."""
    return positions_T, cos_sin_PE


class RopeKvWrite:
    """q in place."""

    def __init__(self, call: runtime.Call) -> None:
        self._call = call

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
    ) -> Tensor:
        tokens, _, size = qkv_TXE.shape
        _, block, kv_heads, _ = k_cache_BSGE.shape
        positions_T, cos_sin_PE = rope
        self._call(
            threads_for(tokens),
            qkv_TXE.data_ptr(),
            tokens,
            num_heads,
            kv_heads,
            size,
            positions_T.data_ptr(),
            cos_sin_PE.data_ptr(),
            slots_T.data_ptr(),
            block,
            0 if q_norm_E is None else q_norm_E.data_ptr(),
            0 if k_norm_E is None else k_norm_E.data_ptr(),
            eps,
            k_cache_BSGE.data_ptr(),
            *k_cache_BSGE.stride(),
            v_cache_BSGE.data_ptr(),
            *v_cache_BSGE.stride(),
        )
        return qkv_TXE[:, :num_heads]
