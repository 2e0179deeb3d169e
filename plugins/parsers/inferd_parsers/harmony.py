"""Harmony: an answer is messages with a channel each, of which `analysis` is reasoning."""

from __future__ import annotations

from inferd.contracts.output_parser import CallFrame
from inferd_parsers.family import NAMED, Family

START = r"(?:<\|start\|>assistant)?"
TO = r"to=(?:functions\.)?(?P<name>[^\s<]+)"
KIND = r"\s*(?:<\|constrain\|>\s*)?\w*"  # of the arguments: json


class Harmony(Family):
    """The receiver of a call stands before or after its channel. Calls end with their answer."""

    has = ("<|channel|>",)
    keeps_special = True
    frames_content = True
    call_frame = CallFrame(  # what ends a call ends the answer
        "<|channel|>commentary to=functions.", "{name} <|constrain|>json<|message|>", ""
    )
    template = {
        "start_anchor": "<|start|>assistant",
        "fields": {
            "reasoning_content": {
                "open_pattern": rf"{START}<\|channel\|>analysis\s*<\|message\|>",
                "close": ["<|end|>", "<|return|>"],
            },
            "tool_calls": {
                "open_pattern": rf"{START}(?:\s*{TO}\s*<\|channel\|>\w+|<\|channel\|>\w+\s+{TO})"
                rf"{KIND}<\|message\|>",
                "close": ["<|call|>", "<|end|>"],
                "content": "json",
                "transform": NAMED,
            },
            "content": {
                "open_pattern": rf"{START}<\|channel\|>(?:final|commentary){KIND}<\|message\|>",
                "close": ["<|end|>", "<|return|>"],
            },
        },
    }
