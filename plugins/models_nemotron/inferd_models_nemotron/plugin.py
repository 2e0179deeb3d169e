"""Registers the Nemotron family, dense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    registry.add(
        "NemotronForCausalLM",
        "inferd_models_nemotron.nemotron:NemotronForCausalLM",
        summary="Nemotron 3 and 4, Minitron",
    )
