"""Calls under a grammar: forced ones are a JSON list, whatever the family's own format is; strict
ones stand in the family's format, in an answer that is free otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from inferd.contracts.call_stream import CallStream, head
from inferd.contracts.output_parser import (
    CallFrame,
    ChatFormat,
    Content,
    OutputParser,
    Piece,
    Tools,
)
from inferd.contracts.verdict import Verdict, no

ANY_ARGUMENTS = {"type": "object"}


def schema_of_calls(tools: Tools, *, most: int | None) -> str:
    """The JSON schema of one call of `tools` or more, at most `most`.

    Each tool's own schema stands in $defs, where what it refers to in itself is found again.
    """
    functions = [tool["function"] for tool in tools]
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": function["name"]},
                "arguments": {"$ref": f"#/$defs/{number}"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for number, function in enumerate(functions)
    ]
    schema: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"anyOf": calls}}
    if most is not None:
        schema["maxItems"] = most
    schema["$defs"] = {
        str(number): _moved(function.get("parameters") or ANY_ARGUMENTS, f"#/$defs/{number}")
        for number, function in enumerate(functions)
    }
    return json.dumps(schema)


def tags_of_calls(frame: CallFrame, tools: Tools, strict: Collection[str]) -> str:
    """The structural tag of answers with any calls of `tools`, those of `strict` with arguments as
    their schemas have them.
    """
    structures = [
        {
            "begin": frame.trigger + frame.begin.replace("{name}", function["name"]),
            "schema": (function["name"] in strict and function.get("parameters")) or ANY_ARGUMENTS,
            "end": frame.end,
        }
        for function in (tool["function"] for tool in tools)
    ]
    return json.dumps({"triggers": [frame.trigger], "structures": structures}, ensure_ascii=False)


def _moved(schema: Any, place: str) -> Any:
    """A schema that stands at `place` of another one."""
    if isinstance(schema, list):
        return [_moved(each, place) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: place + value[1:]
        if key == "$ref" and isinstance(value, str) and value.startswith("#")
        else _moved(value, place)
        for key, value in schema.items()
    }


class ForcedCalls(OutputParser):
    """Reads what that schema allows. What is left of an answer that was cut off is Content."""

    @classmethod
    def supports(cls, chat: ChatFormat) -> Verdict:  # noqa: ARG003 - no model writes so by itself
        return no("for answers under a grammar")

    def __init__(self, prompt: str, tools: Tools) -> None:  # noqa: ARG002 - it needs neither
        import regex

        self._calls = CallStream(regex.compile(head()))

    @property
    def reasons(self) -> bool:
        return False

    def feed(self, text: str) -> list[Piece]:
        return self._calls.feed(text)

    def finish(self) -> list[Piece]:
        left = self._calls.left()
        return [Content(left)] if left else []
