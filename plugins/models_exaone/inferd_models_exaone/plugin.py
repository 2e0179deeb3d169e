"""Registers EXAONE 4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    registry.add(
        "Exaone4ForCausalLM", "inferd_models_exaone.exaone4:Exaone4ForCausalLM", summary="EXAONE 4"
    )
