"""Gemma 4: channels, and calls whose strings have delimiters of their own."""

from __future__ import annotations

from inferd_parsers.family import NAMED, Family


class Gemma4(Family):
    has = ("<|tool_call>", "<|channel>")
    keeps_special = True
    reasoning_end = "<channel|>"
    template = {
        "start_anchor_pattern": r"(?=<\|channel>thought\s*\Z)",
        "fields": {
            "reasoning_content": {"open": "<|channel>thought\n", "close": "<channel|>"},
            "tool_calls": {
                "open_pattern": r"<\|tool_call>call:(?P<name>[\w.-]+)",
                "close": "<tool_call|>",
                "content": "json",
                "content_args": {"string_delims": [['<|"|>', '<|"|>']], "unquoted_keys": True},
                "transform": NAMED,
            },
            "content": {"close": ["<turn|>", "<|tool_response>"]},
        },
    }
