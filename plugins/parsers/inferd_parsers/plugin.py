"""Registers the parsers of tool calls and of reasoning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.output_parser import OutputParser

CHECKPOINT = ("checkpoint", "checkpoint:CheckpointParser", "the checkpoint's own response template")
BOTH = (
    ("cohere", "cohere:Cohere", "Command R7B, Command A"),
    ("gemma4", "gemma:Gemma4", "Gemma 4"),
    ("gpt_oss", "harmony:Harmony", "gpt-oss"),
)
TOOLS = (
    ("deepseek_v3", "deepseek:DeepSeekV3", "DeepSeek V3, R1"),
    ("deepseek_v31", "deepseek:DeepSeekV31", "DeepSeek V3.1"),
    ("deepseek_v32", "deepseek:DeepSeekV32", "DeepSeek V3.2"),
    ("functiongemma", "gemma:FunctionGemma", "FunctionGemma"),
    ("gemma3", "pythonic:Gemma3", "Gemma 3"),
    ("glm4_moe", "xml:Glm", "GLM-4.5 to 4.7"),
    ("granite", "json_list:Granite", "Granite 3"),
    ("hermes", "hermes:Hermes", "Hermes, Qwen 2.5, Qwen 3, SmolLM3, Granite 4"),
    ("internlm", "internlm:InternLM", "InternLM 2 and 2.5"),
    ("kimi_k2", "kimi:Kimi", "Kimi K2"),
    ("lfm2", "pythonic:Lfm2", "LFM2"),
    ("llama3_json", "llama:Llama3", "Llama 3.1 to 3.3"),
    ("minimax_m2", "xml:MiniMax", "MiniMax M2"),
    ("mistral", "mistral:Mistral", "Mistral, Ministral, Devstral, Magistral"),
    ("olmo3", "pythonic:Olmo3", "OLMo 3"),
    ("phi4_mini", "json_list:Phi4Mini", "Phi 4 mini"),
    ("pythonic", "pythonic:Pythonic", "Llama 4"),
    ("qwen3_coder", "xml:QwenCoder", "Qwen3-Coder, Qwen 3.5, Nemotron 3"),
)
REASONING = (
    ("think", "think:Think", "<think>: Qwen 3, DeepSeek R1, GLM, Kimi, SmolLM3, ..."),
    ("mistral", "mistral:MistralThink", "Magistral"),
)


@hookimpl
def inferd_register_tool_parsers(registry: Registry[OutputParser]) -> None:
    """By the names that vLLM has for them, where it has one."""
    _add(registry, (*BOTH, *TOOLS))


@hookimpl
def inferd_register_reasoning_parsers(registry: Registry[OutputParser]) -> None:
    """Likewise."""
    _add(registry, (*BOTH, *REASONING))


def _add(registry: Registry[OutputParser], entries: tuple[tuple[str, str, str], ...]) -> None:
    name, target, summary = CHECKPOINT
    registry.add(name, f"inferd_parsers.{target}", summary=summary, priority="tuned")
    for name, target, summary in entries:
        registry.add(name, f"inferd_parsers.{target}", summary=summary)
