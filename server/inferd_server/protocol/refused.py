"""Fields of features that are not in this version: refused by name, never silently ignored. Beside
them the fields that change nothing about the text, which clients send by habit.
"""

from __future__ import annotations

from typing import Any

from inferd.errors import RequestError
from inferd_server.protocol.base import Refusals


def _never(_: Any) -> bool:
    return False


def _no_choice(value: Any) -> bool:
    return value in ("none", "auto")


COMMON: Refusals = {
    "guided_json": _never,
    "guided_regex": _never,
    "guided_choice": _never,
    "guided_grammar": _never,
    "use_beam_search": _never,
    "length_penalty": lambda value: value == 1,
    "logits_processors": _never,
    "truncate_prompt_tokens": _never,
    "prompt_embeds": _never,
    "kv_transfer_params": _never,
    "return_tokens_as_token_ids": _never,
    "vllm_xargs": _never,
}
CHAT: Refusals = {
    **COMMON,
    "functions": _never,
    "function_call": _no_choice,
    "modalities": lambda value: value == ["text"],
    "audio": _never,
    "prediction": _never,
    "web_search_options": _never,
    "documents": _never,
    "mm_processor_kwargs": _never,
    "echo": _never,
}
COMPLETION: Refusals = {**COMMON, "suffix": _never}
MESSAGES: Refusals = {
    "mcp_servers": _never,
    "container": _never,
    "prefill": _never,
}
RESPONSES: Refusals = {
    "conversation": _never,
    "prompt": _never,
    "truncation": lambda value: value == "disabled",
}

_INSTEAD = {
    "guided_json": 'structured_outputs: {"json": ...}',
    "guided_regex": 'structured_outputs: {"regex": ...}',
    "guided_choice": 'structured_outputs: {"choice": [...]}',
    "guided_grammar": 'structured_outputs: {"grammar": ...}',
    "functions": "tools",
    "function_call": "tool_choice",
}
_INERT = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
    }
)
INERT_OPENAI = _INERT | {"store"}
INERT_COMPLETIONS = INERT_OPENAI | {"parallel_tool_calls"}
INERT_RESPONSES = _INERT | {"max_tool_calls", "stream_options", "user"}
INERT_ANTHROPIC = frozenset(
    {
        "cache_control",
        "diagnostics",
        "inference_geo",
        "metadata",
        "service_tier",
        "speed",
        "user_profile_id",
        "workspace_id",
    }
)


def refuse(content: dict[str, Any], refusals: Refusals) -> None:
    """Raises RequestError for the first field whose feature is missing. Empty values are fine."""
    for name in content.keys() & refusals.keys():
        value = content[name]
        if value is None or value is False or value in ([], {}, "") or refusals[name](value):
            continue
        instead = _INSTEAD.get(name)
        cure = f"send {instead} instead" if instead else "send the request without it"
        raise RequestError(
            f"{name} is not in this version of inferd; {cure}",
            name,
            "unsupported_parameter",
        )
