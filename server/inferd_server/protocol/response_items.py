"""Items of the input of /v1/responses: messages, calls, their results, and reasoning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from inferd_server.protocol.base import Body, Text
from inferd_server.protocol.tools import CallId, ToolName, call, decoded

Turn = dict[str, Any]
TEXTS = ("input_text", "output_text", "text")
ITEMS = ("message", "function_call", "function_call_output", "reasoning")


def _known_text(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") not in (*TEXTS, None):
        raise ValueError("only parts of text are in this version of inferd")
    return part


class TextContent(Body):
    type: Literal["input_text", "output_text", "text"]
    text: Text


Texts = (
    Text
    | Annotated[
        list[Annotated[TextContent, BeforeValidator(_known_text)]],
        Field(fail_fast=True, max_length=1024),
    ]
)


def _joined(content: str | list[TextContent]) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


class MessageItem(Body):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Texts

    def turn(self) -> Turn:
        role = "system" if self.role == "developer" else self.role
        return {"role": role, "content": _joined(self.content)}


class CallItem(Body):
    type: Literal["function_call"]
    call_id: CallId
    name: ToolName
    arguments: Text

    def turn(self) -> Turn:
        calls = [call(self.call_id, self.name, decoded(self.arguments))]
        return {"role": "assistant", "content": "", "tool_calls": calls}


class CallOutputItem(Body):
    type: Literal["function_call_output"]
    call_id: CallId
    output: Texts

    def turn(self) -> Turn:
        return {"role": "tool", "tool_call_id": self.call_id, "content": _joined(self.output)}


class ReasoningText(Body):
    text: Text


class ReasoningItem(Body):
    """What is encrypted stays unread."""

    type: Literal["reasoning"]
    content: Annotated[list[ReasoningText], Field(fail_fast=True, max_length=1024)] | None = None

    def turn(self) -> Turn:
        thought = "\n".join(part.text for part in self.content or [])
        turn = {"role": "assistant", "content": ""}
        return turn | {"reasoning_content": thought} if thought else turn


def _known_item(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    if "type" not in item:
        return {**item, "type": "message"}
    if item["type"] not in ITEMS:
        raise ValueError(f"only items of types {', '.join(ITEMS)} are in this version of inferd")
    return item


Item = Annotated[
    Annotated[MessageItem | CallItem | CallOutputItem | ReasoningItem, Field(discriminator="type")],
    BeforeValidator(_known_item),
]
Items = Annotated[list[Item], Field(fail_fast=True, min_length=1, max_length=10_000)]


def plain(items: list[MessageItem | CallItem | CallOutputItem | ReasoningItem]) -> list[Turn]:
    """As chat templates read them: what the assistant thought, said and called is one turn."""
    turns: list[Turn] = []
    for item in items:
        turn = item.turn()
        if turns and _continues(turns[-1], turn):
            turns[-1] = _merged(turns[-1], turn)
        else:
            turns.append(turn)
    return turns


def _continues(last: Turn, turn: Turn) -> bool:
    both = last["role"] == turn["role"] == "assistant"
    return both and not (turn["content"] and (last["content"] or "tool_calls" in last))


def _merged(last: Turn, turn: Turn) -> Turn:
    merged = {**last, **turn, "content": last["content"] or turn["content"]}
    calls = [*last.get("tool_calls", []), *turn.get("tool_calls", [])]
    return merged | {"tool_calls": calls} if calls else merged
