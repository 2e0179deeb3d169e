"""Registers AMD GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.platform import Platform


@hookimpl
def inferd_register_platforms(registry: Registry[Platform]) -> None:
    registry.add(
        "rocm",
        "inferd_hw_rocm.platform:RocmPlatform",
        summary="one AMD GPU, with recorded steps",
        priority="tuned",
    )
