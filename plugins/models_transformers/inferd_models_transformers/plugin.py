"""Registers the class for architectures that no plugin has by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Under the name that stands for all others."""
    registry.add(
        "*",
        "inferd_models_transformers.model:TransformersForCausalLM",
        summary="any other causal language model of transformers",
        priority="reference",
    )
