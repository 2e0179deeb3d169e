"""Kimi K2's calls; their ids hold the name."""

from __future__ import annotations

from inferd.contracts.output_parser import CallFrame
from inferd_parsers.family import NOWHERE, Family


class Kimi(Family):
    has = ("<|tool_call_begin|>",)
    keeps_special = True
    call_frame = CallFrame(
        "<|tool_call_begin|>",
        "functions.{name}:{number}<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
    )
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
