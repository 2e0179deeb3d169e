"""Registers attention and ops compiled by numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.attention import AttentionBackend
    from inferd.contracts.ops import OpProvider


@hookimpl
def inferd_register_attention(registry: Registry[AttentionBackend]) -> None:
    registry.add(
        "numba",
        "inferd_cpu_numba.attention:NumbaAttention",
        summary="paged attention compiled for this CPU",
        priority="tuned",
    )


@hookimpl
def inferd_register_ops(registry: Registry[OpProvider]) -> None:
    registry.add(
        "numba",
        "inferd_cpu_numba.ops:NumbaOps",
        summary="norms, activation and rope compiled for this CPU",
        priority="tuned",
    )
