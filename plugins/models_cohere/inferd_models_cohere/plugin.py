"""Registers the Cohere family: Command-R, R+, R7B and A."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    for name, module, summary in (
        ("CohereForCausalLM", "cohere", "Command-R and R+, Aya"),
        ("Cohere2ForCausalLM", "cohere2", "Command-R7B and A"),
    ):
        registry.add(name, f"inferd_models_cohere.{module}:{name}", summary=summary)
