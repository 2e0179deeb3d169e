"""Registers the GLM-4 family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    for name, module, summary in (
        ("GlmForCausalLM", "glm", "GLM-4 and GLM-Edge"),
        ("Glm4ForCausalLM", "glm4", "GLM-4-0414 and Z1"),
        ("Glm4MoeForCausalLM", "glm4_moe", "GLM-4.5, 4.5-Air and 4.6"),
    ):
        registry.add(name, f"inferd_models_glm.{module}:{name}", summary=summary)
