"""Calls that are forced: a JSON list under a grammar, whatever the family's own format is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inferd.contracts.call_stream import CallStream, head
from inferd.contracts.output_parser import ChatFormat, Content, OutputParser, Piece, Tools
from inferd.contracts.verdict import Verdict, no

ANY_ARGUMENTS = {"type": "object"}


def schema_of_calls(tools: Tools, *, most: int | None) -> str:
    """The JSON schema of one call of `tools` or more, at most `most`."""
    functions = {tool["function"]["name"]: tool["function"].get("parameters") for tool in tools}
    schema = list_of_calls(functions)
    if most is not None:
        schema["maxItems"] = most
    return json.dumps(schema)


def list_of_calls(
    functions: Mapping[str, Any],
    name: str = "name",
    arguments: str = "arguments",
    call_id: str = "",
) -> dict[str, Any]:
    """The JSON schema of calls by these keys; `functions` have a schema each, or any arguments.

    Each schema stands in $defs, where what it refers to in itself is found again.
    """
    calls = []
    for number, function in enumerate(functions):
        properties: dict[str, Any] = {call_id: {"type": "string"}} if call_id else {}
        properties |= {name: {"const": function}, arguments: {"$ref": f"#/$defs/{number}"}}
        calls.append(
            {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        )
    defined = {
        str(number): _moved(schema or ANY_ARGUMENTS, f"#/$defs/{number}")
        for number, schema in enumerate(functions.values())
    }
    return {"type": "array", "minItems": 1, "items": {"anyOf": calls}, "$defs": defined}


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
