"""Tools: what a model may call, and calls in a conversation's past."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field

from inferd.errors import RequestError
from inferd_server.protocol.base import Body, Text

MAX_TOOLS = 1024

ToolName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:/-]+$")]
CallId = Annotated[Text, Field(max_length=256)]


class Function(Body):
    name: ToolName
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: Literal[False] | None = None  # true would promise valid arguments

    def plain(self) -> dict[str, Any]:
        """As chat templates read it."""
        return self.model_dump(exclude={"strict"}, exclude_none=True)


class Tool(Body):
    type: Literal["function"]
    function: Function

    def plain(self) -> dict[str, Any]:
        return {"type": "function", "function": self.function.plain()}


Tools = Annotated[list[Tool], Field(fail_fast=True, max_length=MAX_TOOLS)]


class CalledFunction(Body):
    name: ToolName
    arguments: Text = "{}"


class ToolCall(Body):
    """A call in an earlier turn of the assistant's."""

    id: CallId | None = None
    type: Literal["function"] = "function"
    function: CalledFunction

    def plain(self) -> dict[str, Any]:
        return call(self.id or "", self.function.name, decoded(self.function.arguments))


def call(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    """A call as chat templates read it."""
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def decoded(arguments: str) -> Any:
    """Arguments as an object where they are JSON, else the text as it stands."""
    try:
        return msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments


def refuse_forced(choice: Any) -> None:
    """Raises RequestError for a tool_choice that forces a call."""
    if choice not in (None, "auto", "none"):
        raise RequestError(
            "tool_choice forces a call, which is not in this version of inferd; use auto or none",
            "tool_choice",
            "unsupported_parameter",
        )
