"""Turns of /v1/messages and the blocks that they are made of, Anthropic's dialect."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from inferd_server.protocol.base import Body, Text
from inferd_server.protocol.tools import CallId, ToolName, call

BLOCKS = ("text", "thinking", "redacted_thinking", "tool_use", "tool_result")


class TextBlock(Body):
    type: Literal["text"]
    text: Text


class ThinkingBlock(Body):
    type: Literal["thinking"]
    thinking: Text


class HiddenThinkingBlock(Body):
    type: Literal["redacted_thinking"]


class ToolUseBlock(Body):
    type: Literal["tool_use"]
    id: CallId
    name: ToolName
    input: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        return call(self.id, self.name, self.input)


def _known_block(block: Any) -> Any:
    if isinstance(block, dict) and block.get("type") not in (*BLOCKS, None):
        raise ValueError(f"only blocks of types {', '.join(BLOCKS)} are in this version of inferd")
    return block


TextBlocks = Annotated[
    list[Annotated[TextBlock, BeforeValidator(_known_block)]],
    Field(fail_fast=True, max_length=1024),
]


class ToolResultBlock(Body):
    type: Literal["tool_result"]
    tool_use_id: CallId
    content: Text | TextBlocks | None = None

    def plain(self) -> dict[str, Any]:
        content = joined(self.content or "")
        return {"role": "tool", "tool_call_id": self.tool_use_id, "content": content}


Block = Annotated[
    Annotated[
        TextBlock | ThinkingBlock | HiddenThinkingBlock | ToolUseBlock | ToolResultBlock,
        Field(discriminator="type"),
    ],
    BeforeValidator(_known_block),
]


def joined(content: str | list[TextBlock]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block.text for block in content)


class AnthropicMessage(Body):
    """One turn; what tools returned becomes turns of its own."""

    role: Literal["user", "assistant", "system"]
    content: Text | Annotated[list[Block], Field(fail_fast=True, min_length=1, max_length=1024)]

    def plain(self) -> list[dict[str, Any]]:
        """As chat templates read it."""
        if isinstance(self.content, str):
            return [{"role": self.role, "content": self.content}]
        results = [b.plain() for b in self.content if isinstance(b, ToolResultBlock)]
        calls = [b.plain() for b in self.content if isinstance(b, ToolUseBlock)]
        thoughts = [b.thinking for b in self.content if isinstance(b, ThinkingBlock)]
        texts = [b for b in self.content if isinstance(b, TextBlock)]
        message: dict[str, Any] = {"role": self.role, "content": joined(texts)}
        if calls:
            message["tool_calls"] = calls
        if thoughts:
            message["reasoning_content"] = "\n".join(thoughts)
        return [*results, message] if texts or calls or not results else results
