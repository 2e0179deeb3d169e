"""<tool_call>{"name": ..., "arguments": {...}}</tool_call>"""

from __future__ import annotations

from inferd.contracts.output_parser import CallFrame
from inferd_parsers.family import NOWHERE, Family


class Hermes(Family):
    has = ("<tool_call>",)
    lacks = ("<function=", "<arg_key>")
    call_frame = CallFrame("<tool_call>", '\n{"name": "{name}", "arguments": ', "}\n</tool_call>")
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open": "<tool_call>",
                "close": "</tool_call>",
                "content": "json",
            },
            "content": {},
        },
    }
