"""Registers the Granite family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    for name, module, summary in (
        ("GraniteForCausalLM", "granite", "Granite 3, dense"),
        ("GraniteMoeForCausalLM", "granite_moe", "Granite 3 with experts (1B-A400M, 3B-A800M)"),
        ("MiniCPMForCausalLM", "minicpm", "MiniCPM 1, 2 and 4, dense"),
    ):
        registry.add(name, f"inferd_models_granite.{module}:{name}", summary=summary)
