"""<|tool_call|>[{"name": ..., "arguments": {...}}, ...]"""

from __future__ import annotations

from inferd.contracts.output_parser import ListFrame
from inferd_parsers.family import NOWHERE, Family


class Phi4Mini(Family):
    """Some of its answers begin with the word functools instead."""

    has = ("<|tool|>", "<|/tool|>")
    keeps_special = True
    call_frame = ListFrame("<|tool_call|>", "", "<|/tool_call|>")
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": r"<\|tool_call\|>|functools(?=\[)",
                "close": "<|/tool_call|>",
                "content": "json",
            },
            "content": {},
        },
    }


class Granite(Phi4Mini):
    """Without an end."""

    has = ("<|tool_call|>", "<|start_of_role|>")
    call_frame = ListFrame("<|tool_call|>", "", "")
