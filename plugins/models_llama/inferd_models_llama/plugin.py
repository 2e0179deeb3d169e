"""Registers the Llama family: Llama, Mistral, Qwen2, Qwen3 and what shares their architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    registry.add(
        "LlamaForCausalLM",
        "inferd_models_llama.llama:LlamaForCausalLM",
        summary="Llama 2/3/3.x, Yi, SmolLM",
    )
