"""Kimi K2's calls; their ids hold the name."""

from __future__ import annotations

from inferd_parsers.family import NOWHERE, Family


class Kimi(Family):
    has = ("<|tool_call_begin|>",)
    keeps_special = True
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": r"<\|tool_call_begin\|>\s*(?P<id>(?:functions\.)?(?P<name>[^:<\s]+)"
                r":\d+)\s*<\|tool_call_argument_begin\|>",
                "close": "<|tool_call_end|>",
                "content": "json",
                "transform": {
                    "id": "{id}",
                    "function": {"name": "{name}", "arguments": "{content}"},
                },
            },
            "content": {"close": ["<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"]},
        },
    }
