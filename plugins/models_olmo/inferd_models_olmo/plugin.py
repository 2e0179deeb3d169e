"""Registers the OLMo family: OLMo 1, 2, 3 and OLMoE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    for name, module, summary in (
        ("OlmoForCausalLM", "olmo", "OLMo 1"),
        ("Olmo2ForCausalLM", "olmo2", "OLMo 2"),
        ("Olmo3ForCausalLM", "olmo3", "OLMo 3"),
        ("OlmoeForCausalLM", "olmoe", "OLMoE"),
    ):
        registry.add(name, f"inferd_models_olmo.{module}:{name}", summary=summary)
