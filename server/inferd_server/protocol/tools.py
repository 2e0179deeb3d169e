"""Tools: what a model may call, and calls in a conversation's past."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field

from inferd.errors import RequestError
from inferd_server.conversation import ToolUse
from inferd_server.protocol.base import Body, Text

MAX_TOOLS = 1024

ToolName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:/-]+$")]
CallId = Annotated[Text, Field(max_length=256)]


class Function(Body):
    name: ToolName
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None  # enforced for forced calls, and where the family has a call_frame

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


Choice = Literal["none", "auto", "required"] | dict[str, Any] | None


def named(choice: dict[str, Any]) -> str:
    """The tool that a choice names: {"type": "function", "function": {"name"}}, or flat.

    Raises RequestError for another kind of choice.
    """
    function = choice.get("function", choice)
    name = function.get("name") if isinstance(function, dict) else None
    if choice.get("type") != "function" or not isinstance(name, str):
        raise RequestError(
            "tool_choice must be none, auto, required, or name a function", "tool_choice"
        )
    return name


def tool_use(
    choice: Choice,
    tools: list[dict[str, Any]],
    parallel: bool | None,
    strict: Iterable[bool | None],
) -> ToolUse:
    """`strict` is each tool's. Raises RequestError for a tool that is not there."""
    several, names = parallel is not False, [tool["function"]["name"] for tool in tools]
    exact = frozenset(name for name, wanted in zip(names, strict, strict=True) if wanted)
    if choice in (None, "auto", "none"):
        return ToolUse(parallel=several, strict=exact)
    only = named(choice) if isinstance(choice, dict) else None
    if not names or only not in (None, *names):
        wanted = f"the tool {only[:64]!r}" if only else "a call"
        raise RequestError(
            f"tool_choice forces {wanted}; tools has {', '.join(names[:8]) or 'none'}",
            "tool_choice",
        )
    return ToolUse(forced=True, only=only, parallel=several, strict=exact)
