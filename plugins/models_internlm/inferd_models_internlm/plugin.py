"""Registers the InternLM family: InternLM 2, 2.5 and 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    for name, module, summary in (
        ("InternLM2ForCausalLM", "internlm2", "InternLM 2 and 2.5"),
        ("InternLM3ForCausalLM", "internlm3", "InternLM 3"),
    ):
        registry.add(name, f"inferd_models_internlm.{module}:{name}", summary=summary)
