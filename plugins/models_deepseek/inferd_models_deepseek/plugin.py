"""Registers DeepSeek V2, V3 and R1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    for name, module, summary in (
        ("DeepseekV2ForCausalLM", "deepseek_v2", "DeepSeek-V2, V2-Lite, V2.5, Coder-V2"),
        ("DeepseekV3ForCausalLM", "deepseek_v3", "DeepSeek-V3, V3.1 and R1"),
    ):
        registry.add(name, f"inferd_models_deepseek.{module}:{name}", summary=summary)
