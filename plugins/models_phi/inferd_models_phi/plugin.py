"""Registers the Phi family: Phi 1, 1.5, 2, 3, 3.5 and 4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    for name, module, summary in (
        ("PhiForCausalLM", "phi", "Phi 1, 1.5 and 2"),
        ("Phi3ForCausalLM", "phi3", "Phi 3, 3.5 and 4"),
        ("PhimoeForCausalLM", "phimoe", "Phi-3.5-MoE"),
    ):
        registry.add(name, f"inferd_models_phi.{module}:{name}", summary=summary)
