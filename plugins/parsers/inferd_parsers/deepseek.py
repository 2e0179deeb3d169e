"""DeepSeek's calls: JSON between tokens of their own, since V3.2 tags."""

from __future__ import annotations

import json
import re
from typing import Any

from inferd.contracts.output_parser import CallFrame, FieldsFrame
from inferd_parsers.family import NAMED, NOWHERE, Family

BEGIN, SEPARATOR, END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
FRAME = ["<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"]


class DeepSeekV3(Family):
    """The arguments are a block of code."""

    has = (BEGIN, "```json")
    keeps_special = True
    call_frame = CallFrame(BEGIN, f"function{SEPARATOR}{{name}}\n```json\n", f"\n```{END}")
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
    call_frame = CallFrame(BEGIN, f"{{name}}{SEPARATOR}", END)
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


PARAMETER = re.compile(
    r'<｜DSML｜parameter name="([^"\n]+)" string="(true|false)">(.*?)</｜DSML｜parameter>',
    re.DOTALL,
)


class DeepSeekV32(Family):
    """Tags that say whether their value is text or JSON."""

    has = ("<｜DSML｜",)
    keeps_special = True
    call_frame = FieldsFrame(
        '｜DSML｜invoke name="',
        '{name}">\n',
        "</｜DSML｜invoke>",
        '<｜DSML｜parameter name="{key}" string="{text}">',
        "</｜DSML｜parameter>\n",
        other_begin='<｜DSML｜parameter name="',
    )
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {"open": '<｜DSML｜invoke name="', "close": "</｜DSML｜invoke>"},
            "content": {"close": ["<｜DSML｜function_calls>", "</｜DSML｜function_calls>"]},
        },
    }

    def read(self, body: str) -> list[Any]:
        name, _, rest = body.partition('">')
        if PARAMETER.sub("", rest).strip():
            raise ValueError("text that is no parameter")
        arguments = {
            key: value if is_text == "true" else json.loads(value)
            for key, is_text, value in PARAMETER.findall(rest)
        }
        return [{"name": name, "arguments": arguments}]
