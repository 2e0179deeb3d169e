"""Registers paged attention in Triton."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.attention import AttentionBackend


@hookimpl
def inferd_register_attention(registry: Registry[AttentionBackend]) -> None:
    registry.add(
        "triton",
        "inferd_attention_triton.backend:TritonAttention",
        summary="paged decode and prefill in Triton, NVIDIA and AMD",
        priority="tuned",
    )
