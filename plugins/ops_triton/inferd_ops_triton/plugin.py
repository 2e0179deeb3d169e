"""Registers the ops of a model in Triton."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.ops import OpProvider


@hookimpl
def inferd_register_ops(registry: Registry[OpProvider]) -> None:
    registry.add(
        "triton",
        "inferd_ops_triton.provider:TritonOps",
        summary="norms, activation, rope, few-row linears in Triton, NVIDIA and AMD",
        priority="tuned",
    )
