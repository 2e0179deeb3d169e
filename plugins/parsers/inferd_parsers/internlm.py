"""InternLM: <|action_start|><|plugin|>{"name": ..., "parameters": {...}}<|action_end|>"""

from __future__ import annotations

from inferd.contracts.output_parser import CallFrame
from inferd_parsers.family import NOWHERE, Family


class InternLM(Family):
    has = ("<|action_start|>",)
    keeps_special = True
    call_frame = CallFrame(
        "<|action_start|>",
        '<|plugin|>\n{"name": "{name}", "parameters": ',
        "}<|action_end|>",
    )
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": r"<\|action_start\|>\s*<\|plugin\|>",
                "close": "<|action_end|>",
                "content": "json",
                "transform": {
                    "function": {"name": "{content.name}", "arguments": "{content.parameters}"}
                },
            },
            "content": {},
        },
    }
