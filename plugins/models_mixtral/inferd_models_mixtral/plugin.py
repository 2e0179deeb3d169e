"""Registers mixtures of experts: Mixtral, Qwen2-MoE and Qwen3-MoE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    for name, module, summary in (
        ("MixtralForCausalLM", "mixtral", "Mixtral 8x7B and 8x22B"),
        ("Qwen2MoeForCausalLM", "qwen2_moe", "Qwen1.5-MoE and Qwen2-57B-A14B"),
        ("Qwen3MoeForCausalLM", "qwen3_moe", "Qwen3-30B-A3B and 235B-A22B"),
    ):
        registry.add(name, f"inferd_models_mixtral.{module}:{name}", summary=summary)
