"""Registers the GPT family: GPT-2, GPT-J, GPT-NeoX, OPT and StarCoder 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.model import CausalLM


@hookimpl
def inferd_register_models(registry: Registry[CausalLM]) -> None:
    """Architecture names as checkpoints spell them."""
    for name, module, summary in (
        ("GPT2LMHeadModel", "gpt2", "GPT-2"),
        ("GPTJForCausalLM", "gptj", "GPT-J"),
        ("GPTNeoXForCausalLM", "gpt_neox", "GPT-NeoX and Pythia"),
        ("OPTForCausalLM", "opt", "OPT"),
        ("Starcoder2ForCausalLM", "starcoder2", "StarCoder 2"),
        ("GptOssForCausalLM", "gpt_oss", "gpt-oss, in bfloat16"),
    ):
        registry.add(name, f"inferd_models_gpt.{module}:{name}", summary=summary)
