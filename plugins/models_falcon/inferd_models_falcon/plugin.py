"""Registers the Falcon family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    registry.add(
        "FalconForCausalLM",
        "inferd_models_falcon.falcon:FalconForCausalLM",
        summary="Falcon RW, 7B, 11B, 40B and 180B",
    )
