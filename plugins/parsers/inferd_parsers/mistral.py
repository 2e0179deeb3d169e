"""[TOOL_CALLS][{"name": ..., "arguments": {...}}], or since 2025 [TOOL_CALLS]NAME[ARGS]{...}"""

from __future__ import annotations

import json
import secrets
import string
from typing import Any, ClassVar

from inferd.contracts.call_stream import head
from inferd.contracts.output_parser import CallFrame, ChatFormat, ListFrame, OutputParser
from inferd_parsers.family import NOWHERE, Family

CALLS, CALL_ID, ARGS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"
HEAD = (
    r"\s*(?:\[TOOL_CALLS\]\s*)?"
    rf"(?:(?P<name>[\w.:/-]+)(?:\[CALL_ID\]\w*)?\[ARGS\]\s*\{{|{head()})"
)
ID_CHARS = string.ascii_letters + string.digits


class Mistral(Family):
    """Its chat templates take ids of nine letters and digits only."""

    has = (CALLS,)
    keeps_special = True
    call_frame: ClassVar[CallFrame | None] = ListFrame(CALLS, "", "")
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {"tool_calls": {"open": CALLS, "head_pattern": HEAD}, "content": {}},
    }

    @classmethod
    def of(cls, chat: ChatFormat) -> type[OutputParser]:
        return MistralNamed if ARGS in chat.chat_template else cls

    def read(self, body: str) -> list[Any]:
        values = [value for part in body.split(CALLS) for value in _values(part.strip())]
        return [{"id": self.new_id(), "function": value} for value in values]

    def new_id(self) -> str:
        return "".join(secrets.choice(ID_CHARS) for _ in range(9))


class MistralNamed(Mistral):
    """Models since 2025: a marker for each call."""

    call_frame = CallFrame(CALLS, f"{{name}}{ARGS}", "")


def _values(part: str) -> list[Any]:
    """Names and arguments. Raises ValueError."""
    if part.startswith(("[{", "{")):
        found = json.loads(part, strict=False)
        return found if isinstance(found, list) else [found]
    head, marker, arguments = part.partition(ARGS)
    if not marker:
        raise ValueError("neither a list nor a name")
    return [{"name": head.partition(CALL_ID)[0], "arguments": arguments}]


class MistralThink(Family):
    has = ("[THINK]",)
    keeps_special = True
    reasoning_end = "[/THINK]"
    template = {
        "start_anchor_pattern": r"(?=\[THINK\]\s*\Z)",
        "fields": {
            "reasoning_content": {"open_pattern": r"\A\s*\[THINK\]", "close": "[/THINK]"},
            "content": {},
        },
    }
