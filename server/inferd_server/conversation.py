"""Conversation: what a chat template is given, whichever dialect it came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolUse:
    """How the model may call its tools."""

    forced: bool = False  # it must
    only: str | None = None  # and just this one
    parallel: bool = True  # several at once
    strict: frozenset[str] = frozenset()  # tools whose arguments must fit their schemas


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages and tools have the shapes that chat templates read, which are OpenAI's."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = field(default_factory=list)
    use: ToolUse = ToolUse()
    generate: bool = True  # end with what opens the assistant's turn
    resume: bool = False  # leave the last turn open instead
    template: str | None = None  # of the client's own, in the place of the model's
    options: dict[str, Any] = field(default_factory=dict)  # further variables of the template
    special: bool = False  # whether the tokenizer adds its own special tokens
    field: str = "messages"  # where it stands in the client's body, for errors
