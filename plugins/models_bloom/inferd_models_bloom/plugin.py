"""Registers BLOOM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    registry.add(
        "BloomForCausalLM", "inferd_models_bloom.bloom:BloomForCausalLM", summary="BLOOM and BLOOMZ"
    )
