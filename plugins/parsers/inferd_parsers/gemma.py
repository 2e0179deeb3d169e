"""Gemma 4 and FunctionGemma: calls whose strings have delimiters of their own."""

from __future__ import annotations

from inferd.contracts.output_parser import FieldsFrame
from inferd_parsers.family import NAMED, NOWHERE, Family


class Gemma4(Family):
    """Thinks in a channel."""

    has = ("<|tool_call>", "<|channel>")
    keeps_special = True
    call_frame = FieldsFrame(
        "<|tool_call>",
        "call:{name}",
        "<tool_call|>",
        "{key}:",
        "",
        separator=",",
        quote='<|"|>',
        opens="{",
        closes="}",
    )
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


class FunctionGemma(Family):
    has = ("<start_function_call>",)
    keeps_special = True
    call_frame = FieldsFrame(
        "<start_function_call>",
        "call:{name}",
        "<end_function_call>",
        "{key}:",
        "",
        separator=",",
        quote="<escape>",
        opens="{",
        closes="}",
    )
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": r"<start_function_call>call:(?P<name>[\w.-]+)",
                "close": "<end_function_call>",
                "content": "json",
                "content_args": {
                    "string_delims": [["<escape>", "<escape>"]],
                    "unquoted_keys": True,
                },
                "transform": NAMED,
            },
            "content": {"close": ["<start_function_response>", "<end_of_turn>"]},
        },
    }
