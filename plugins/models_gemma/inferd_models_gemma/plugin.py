"""Registers the Gemma family: Gemma 1, 2 and the text model of Gemma 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    for name, module, summary in (
        ("GemmaForCausalLM", "gemma", "Gemma 1"),
        ("Gemma2ForCausalLM", "gemma2", "Gemma 2"),
        ("Gemma3ForCausalLM", "gemma3", "Gemma 3, text"),
    ):
        registry.add(name, f"inferd_models_gemma.{module}:{name}", summary=summary)
