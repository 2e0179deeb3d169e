"""Registers the StableLM family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    registry.add(
        "StableLmForCausalLM",
        "inferd_models_stablelm.stablelm:StableLmForCausalLM",
        summary="StableLM 3B, 2 1.6B and 2 12B",
    )
