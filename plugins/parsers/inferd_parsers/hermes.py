"""<tool_call>{"name": ..., "arguments": {...}}</tool_call>"""

from __future__ import annotations

from inferd_parsers.family import NOWHERE, Family


class Hermes(Family):
    has = ("<tool_call>",)
    lacks = ("<function=", "<arg_key>")
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
