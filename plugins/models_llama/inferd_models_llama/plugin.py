"""Registers the Llama family: Llama, Mistral, Qwen2, Qwen3 and what shares their architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    for word, summary in (
        ("Llama", "Llama 2/3/3.x, Yi, SmolLM"),
        ("Mistral", "Mistral, with its sliding window"),
        ("Qwen2", "Qwen2 and Qwen2.5"),
        ("Qwen3", "Qwen3, dense"),
    ):
        name = f"{word}ForCausalLM"
        registry.add(name, f"inferd_models_llama.{word.lower()}:{name}", summary=summary)
