"""Command's answers: thinking, actions and a response, each between its markers."""

from __future__ import annotations

from inferd.contracts.output_parser import ListFrame
from inferd_parsers.family import Family


class Cohere(Family):
    has = ("<|START_ACTION|>",)
    keeps_special = True
    frames_content = True
    call_frame = ListFrame(
        "<|START_ACTION|>", "", "<|END_ACTION|>", "tool_name", "parameters", "tool_call_id"
    )
    reasoning_end = "<|END_THINKING|>"
    template = {
        "start_anchor_pattern": r"(?=<\|START_THINKING\|>\s*\Z)",
        "fields": {
            "reasoning_content": {"open": "<|START_THINKING|>", "close": "<|END_THINKING|>"},
            "tool_calls": {
                "open": "<|START_ACTION|>",
                "close": "<|END_ACTION|>",
                "content": "json",
                "transform": {"function": {"name": "{tool_name}", "arguments": "{parameters}"}},
                "transform_each": True,
            },
            "content": {
                "close": [
                    f"<|{end}_{name}|>" for end in ("START", "END") for name in ("RESPONSE", "TEXT")
                ]
            },
        },
    }
