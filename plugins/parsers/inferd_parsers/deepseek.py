"""DeepSeek's calls, between tokens of their own."""

from __future__ import annotations

from inferd_parsers.family import NAMED, NOWHERE, Family

BEGIN, SEPARATOR, END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
FRAME = ["<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"]


class DeepSeekV3(Family):
    """The arguments are a block of code."""

    has = (BEGIN, "```json")
    keeps_special = True
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": rf"{BEGIN}function{SEPARATOR}(?P<name>[^\s<]+)\s*```json",
                "close_pattern": rf"```\s*{END}",
                "content": "json",
                "transform": NAMED,
            },
            "content": {"close": FRAME},
        },
    }


class DeepSeekV31(Family):
    has = (BEGIN,)
    lacks = ("```json",)
    keeps_special = True
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": rf"{BEGIN}(?P<name>[^\n<]+){SEPARATOR}",
                "close": END,
                "content": "json",
                "transform": NAMED,
            },
            "content": {"close": FRAME},
        },
    }
